"""The edge on a socket: what its connections share, and the way back from the core to them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Final, Protocol

from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies
from edge.drivers.body import MemoryBody
from edge.drivers.held import HeldFile
from edge.drivers.home import Home
from edge.drivers.ring import HitRing
from edge.drivers.server.connection import Connection, Sent
from edge.drivers.server.direct import STILL_BYTES, FileSource, MemorySource, Writables
from edge.drivers.server.heads import Heads
from edge.drivers.server.hits import HitPath
from edge.drivers.server.lessons import HitSource
from edge.drivers.server.listener import Listener
from edge.drivers.server.passing import Forwarder
from edge.drivers.server.reply import Answer, Reply
from edge.drivers.server.sending import (
    NOT_HERE,
    PIECE_BYTES,
    SMALL_BYTES,
    UNDER_WAY,
)
from edge.drivers.server.upload import Upload
from edge.drivers.server.wheel import TimerWheel
from edge.effects import AbortResponse, ServeInterim
from edge.events import ClientLeft, Event, Headers, Requested, ResponseEnded
from edge.titles.home import PROXIED
from nearcast.clock import Clock
from nearcast.fleet import ALIVE_PATH, EDGE_FIELD
from nearcast.http1 import Limits, RequestHead
from nearcast.units import bytes_per_s_from_kbps

WARM_S: Final = 1.0
"""How long a file that was found in the page cache is taken to be there."""
WARM_BYTES_MAX: Final = 8 << 20
"""Of a file that is probed all at once."""


ALIVE_FIELDS: Final[Headers] = (
    ("content-length", "0"),
    ("cache-control", "no-store"),
    ("server", "nearcast"),
)


class Special(Protocol):
    """Who answers requests about the node itself."""

    @property
    def paths(self) -> frozenset[str]:
        """All that it may answer; it is asked for no other."""

    def answer(self, method: str, target: str, client: str) -> tuple[int, Headers, bytes] | None:
        """Status, fields and body; None: this one is the core's."""


class Core(HitSource, Protocol):
    """What of the core is asked directly; it decides and changes nothing."""


class EdgeServer:
    """Answers requests; `listener` takes them."""

    def __init__(
        self,
        config: EdgeConfig,
        core: Core,
        clock: Clock,
        tell: Callable[[Event], None],
        bodies: Bodies,
        forwarder: Forwarder,
        ring: HitRing,
        special: Special,
        home: Home,
        *,
        edge: str = "",
    ) -> None:
        """`edge`: its name in its fleet."""
        self._apply(config)
        self.core = core
        self.now_s = clock.now_s
        self.tell = tell
        self.bodies = bodies
        self._in_memory = bodies.in_memory
        self._held_file = bodies.held_file
        self.forwarder = forwarder
        self.ring = ring
        self._special = special
        self._home = home
        self._alive_fields = (*ALIVE_FIELDS, (EDGE_FIELD, edge)) if edge else ALIVE_FIELDS
        self.special_paths = special.paths | home.paths | {ALIVE_PATH}
        self.heads = Heads(clock, config.name)
        self.wheel = TimerWheel(clock.now_s)
        self.writables = Writables()
        self.is_draining = False
        self.hits = HitPath(self, clock)
        self.listener = Listener(config, self)
        self._numbers = itertools.count(1)
        self._asked: dict[int, Reply] = {}

    def reconfigure(self, config: EdgeConfig) -> None:
        """Go by these settings from now on; what is under way goes on as it began."""
        self._apply(config)
        self.listener.reconfigure(config)
        self.hits.reconfigure()

    def _apply(self, config: EdgeConfig) -> None:
        self.settings = config.server
        self.header_deadline_s = config.server.header_deadline_s
        from_bytes = config.server.memory_send_bytes_min
        self._memory_send_bytes_min = from_bytes if from_bytes is not None else sys.maxsize
        self.client_bytes_per_s_min = bytes_per_s_from_kbps(config.server.rate_min_kbps)
        self.target_length_max = config.server.target_length_max
        self.limits = Limits(
            line_bytes_max=config.server.head_bytes_max,
            field_bytes_max=config.server.head_bytes_max,
            head_bytes_max=4 * config.server.head_bytes_max,
            field_count_max=config.server.head_field_count_max,
        )

    # What the core wants

    def answer(self, effect: Answer) -> None:
        reply = self._asked.get(effect.request_id)
        if reply is not None:  # else the client has left, and the core was told
            reply.answer(effect)

    def interim(self, effect: ServeInterim) -> None:
        reply = self._asked.get(effect.request_id)
        if reply is not None:
            reply.interim(effect.status, effect.headers)

    def abort(self, effect: AbortResponse) -> None:
        reply = self._asked.get(effect.request_id)
        if reply is not None:
            reply.abort()

    # What replies need

    def reply(self, connection: Connection, head: RequestHead, upload: Upload | None) -> Reply:
        return Reply(self, connection, head, upload)

    def requested(self, head: RequestHead, client: str) -> Requested:
        return Requested(
            request_id=next(self._numbers),
            method=head.method,
            target=head.target,
            headers=head.headers,
            client=client,
        )

    def renumbered(self, requested: Requested) -> Requested:
        return Requested(
            request_id=next(self._numbers),
            method=requested.method,
            target=requested.target,
            headers=requested.headers,
            client=requested.client,
        )

    def special(self, requested: Requested) -> tuple[int, Headers, bytes] | None:
        path = requested.target.partition("?")[0]
        if path not in self.special_paths:
            return None
        if path in self._home.paths:
            return self._home.answer(requested)
        if path == ALIVE_PATH:
            return (200, self._alive_fields, b"") if requested.method in ("GET", "HEAD") else None
        # A request that a proxy on this machine passes on is not from this machine.
        if not PROXIED.isdisjoint(name for name, _ in requested.headers):
            return None
        return self._special.answer(requested.method, requested.target, requested.client)

    def ask(self, requested: Requested, reply: Reply) -> None:
        """Feed a request; its answer comes to `reply`, at once or later."""
        self.ring.flush()  # the core hears of requests in the order they came
        self._asked[requested.request_id] = reply
        self.tell(requested)

    def tell_end(self, request_id: int, sent_bytes: int, *, is_whole: bool) -> None:
        del self._asked[request_id]
        if is_whole:
            self.tell(ResponseEnded(request_id=request_id, sent_bytes=sent_bytes))
        else:
            self.tell(ClientLeft(request_id=request_id, sent_bytes=sent_bytes))

    def send_object(
        self,
        connection: Connection,
        head: bytes,
        object_id: str,
        first: int,
        size_bytes: int,
        done: Sent,
    ) -> int:
        """Send a stored body, or the part of it. How much of it was sent, if that was all;
        UNDER_WAY: `done` will be called; NOT_HERE: it must be waited for, and nothing was sent."""
        content = self._in_memory(object_id)
        if content is not None and size_bytes <= SMALL_BYTES:
            connection.write(b"".join((head, content[first : first + size_bytes])))
            return size_bytes
        direct = connection.direct_now()
        if direct is not None:
            if content is None or size_bytes < self._memory_send_bytes_min:
                held = self._held_file(object_id)
                if held is not None:
                    is_warm = self.now_s() < held.warm_until_s or self._is_warm(held)
                    if not is_warm or size_bytes > STILL_BYTES:
                        file = FileSource(held, first, is_warm=is_warm)
                        return connection.send_still(head, file, size_bytes, done)
                    head, sent_bytes = direct.send_file_at_once(head, held, first, size_bytes)
                    if sent_bytes == size_bytes:
                        return sent_bytes
                    file = FileSource(held, first, is_warm=True)
                    return connection.go_on_sending(head, file, size_bytes, sent_bytes, done)
                if content is not None:
                    self.bodies.ready_file(object_id)
            if content is not None:
                view = memoryview(content)[first : first + size_bytes]
                return connection.send_still(head, MemorySource(view), size_bytes, done)
        elif content is None:
            self.bodies.copy(object_id)
        elif size_bytes <= PIECE_BYTES:
            connection.write_both(head, memoryview(content)[first : first + size_bytes])
            return size_bytes
        else:
            connection.send_body(
                head,
                MemoryBody(content, first, size_bytes),
                left_bytes=size_bytes,
                is_chunked=False,
                done=done,
            )
            return UNDER_WAY
        return NOT_HERE

    def _is_warm(self, held: HeldFile) -> bool:
        """Whether all of a file is in the page cache, which is then not asked again for a moment.
        What has just been sent is the last that the system would let go of; larger files are
        probed piece by piece."""
        if held.size_bytes > WARM_BYTES_MAX or not held.is_cached(0, held.size_bytes):
            return False
        held.warm_until_s = self.now_s() + WARM_S
        return True
