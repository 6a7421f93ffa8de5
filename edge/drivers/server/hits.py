"""The short way for hits: from a request's bytes to an answer without reading the request anew.

It decides nothing and changes nothing (docs/adr/0004-hits-read-only.md). Everything it knows it has
learned from answers that the ordinary way gave:

- of a *header block* (all of a head but its first line), by its bytes, that the strict parser took
  it and found nothing in it that a plain hit would have to heed. Players repeat their blocks;
- of a *target*, by its bytes, which entry of the hot table answers it, and what the ordinary
  answer's head looks like.

Some lines change from request to request: Range, validators, CMCD. They are cut out of an unknown
block, which must then be a known one; each is a whole line of the form that the parser demands, so
that the block with them is as good as the block without. A CMCD argument is cut out of the target
likewise. What they ask for is answered within the rules at the top of edge.hot.

An entry is looked up in the hot table for every hit, so what is learned never outlives what it
was learned from. Whatever is not plainly a hit leaves no trace here and goes the ordinary way.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from cache.http.freshness import age_s
from edge.drivers.server.plain import ENTITY_TAG, part_of, validator_of, without_cmcd
from edge.drivers.server.sending import NOT_HERE, SMALL_BYTES
from edge.effects import ServeObject
from edge.events import Headers, Hit, Requested
from edge.hot import HotEntry
from nearcast.clock import Clock
from nearcast.http1 import MalformedMessage, parse_fields, read_request

if TYPE_CHECKING:
    from edge.drivers.server.connection import Connection
    from edge.drivers.server.server import EdgeServer

BLOCKS_MAX: Final = 4096
BLOCK_BYTES_MAX: Final = 2048
TARGETS_MAX: Final = 16_384
SHELVES_MAX: Final = 64
"""Hosts whose targets are kept apart. Beyond any of these bounds all is forgotten and learned
again, so a flood of odd requests costs others a little speed and no memory."""
MARKS_MAX: Final = 8

_LINE_END: Final = b" HTTP/1.1\r\n"
# Begins with a literal, for speed; a value is what the parser takes for one.
_MARKED: Final = re.compile(
    rb"\n((?:range|if-none-match|if-modified-since|cmcd-(?:object|request|session|status))"
    rb":[^\x00-\x08\x0a-\x1f\x7f]*)\r(?=\n)",
    re.IGNORECASE,
)
_NAMES: Final = {
    spelled.encode(): name
    for name in (
        "range",
        "if-none-match",
        "if-modified-since",
        "cmcd-object",
        "cmcd-request",
        "cmcd-session",
        "cmcd-status",
    )
    for spelled in (name, name.title(), name.title().replace("Cmcd", "CMCD"))
}
"""As they are mostly spelled."""

# Fields that a plain hit has to heed; a block with one of them is not remembered as plain.
_HEEDED: Final = frozenset(
    {
        "authorization",
        "cache-control",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "pragma",
        "proxy-connection",
        "range",
        "transfer-encoding",
        "upgrade",
    }
)
_KEEP_ALIVE: Final = ("connection", "keep-alive")


class HitSource(Protocol):
    """What of the core is asked directly; it decides and changes nothing."""

    def find_hit(self, request: Requested, now_s: float) -> ServeObject | None: ...

    def find_plain(self, request: Requested) -> HotEntry | None:
        """The entry of a URL that a driver may serve by itself (edge.hot)."""

    def plain(self, url: str) -> HotEntry | None:
        """The same by the entry's URL."""

    @property
    def revision(self) -> int:
        """Changes when targets may mean other objects than before."""

    @property
    def keeps_hosts_apart(self) -> bool:
        """Whether one target may mean several objects, by the request's host."""


class _Target:
    """What is known of a target."""

    __slots__ = ("entry", "fixed", "head", "moment", "object_id", "partial", "same", "size_bytes",
                 "target", "until_s", "url")  # fmt: skip

    def __init__(self, target: str, entry: HotEntry, fixed: bytes) -> None:
        self.target = target
        self.entry = entry
        self.url = entry.stored.url
        self.object_id = entry.stored.object_id
        self.size_bytes = entry.stored.size_bytes
        self.fixed = fixed
        """Of a 200, all but what changes with time."""
        self.partial: bytes | None = None
        """Of a 206, likewise, without its length and place."""
        self.same: bytes | None = None
        """Of a 304, likewise."""
        self.moment = b""
        """Age, Cache-Status, the final empty line: until the next second of either."""
        self.head = b""
        """`fixed` and `moment`."""
        self.until_s = 0.0


class _Block:
    """What is known of a header block. `shelf`: the targets of its host."""

    __slots__ = ("headers", "shelf")

    def __init__(self, headers: Headers, shelf: dict[bytes, _Target]) -> None:
        self.headers = headers
        self.shelf = shelf


class HitPath:
    """Answers hits. `serve` for each head; `learn` from those it could not answer."""

    def __init__(self, server: EdgeServer, clock: Clock) -> None:
        self._server = server
        self._core = server.core
        self._plain = server.core.plain
        self._in_memory = server.bodies.in_memory
        self._send_object = server.send_object
        self._now_s = clock.now_s
        self._epoch_s = clock.epoch_s
        self._idle_s = server.settings.idle_s
        self._append = server.ring.append
        self._revision = server.core.revision
        self._blocks: dict[bytes, _Block] = {}
        self._shelves: dict[str, dict[bytes, _Target]] = {}

    # Answering

    def serve(self, connection: Connection, data: bytes) -> bool:
        """Answer these bytes if they are one head and plainly a hit. False: nothing was done."""
        line_end = data.find(_LINE_END)
        block = self._blocks.get(data[line_end + 11 :])
        if block is None:
            return line_end > 0 and self._serve_marked(connection, data, line_end)
        target = block.shelf.get(data[:line_end])
        if target is None:
            return self._serve_other(connection, data, line_end, block)
        now_s = self._now_s()
        if now_s >= target.until_s and not self._renew(target, now_s):
            return False
        if self._plain(target.url) is not target.entry:
            return False
        size_bytes = target.size_bytes
        content = self._in_memory(target.object_id) if size_bytes <= SMALL_BYTES else None
        if content is None:
            return self._send(
                connection, target, target.head, 0, size_bytes, target.target, block.headers, now_s
            )
        connection.due_s = now_s + self._idle_s
        connection.transport.write(target.head + content)
        self._append(
            Hit(
                at_s=now_s,
                target=target.target,
                headers=block.headers,
                client=connection.client,
                object_id=target.object_id,
                sent_bytes=size_bytes,
                url=target.url,
            )
        )
        return True

    def _serve_other(
        self, connection: Connection, data: bytes, line_end: int, block: _Block
    ) -> bool:
        """HEAD, and targets with CMCD."""
        return self._serve_found(connection, data, line_end, block, (), None, None)

    def _serve_marked(self, connection: Connection, data: bytes, line_end: int) -> bool:
        """Lines of the block change from request to request."""
        rest = data[line_end + 9 :]
        mark = _MARKED.search(rest)
        if mark is None or rest[-4:] != b"\r\n\r\n":
            return False
        lines = [mark[1]]
        block = self._blocks.get(rest[2 : mark.start()] + rest[mark.end() :])
        if block is None:  # mostly because there are more
            parts = _MARKED.split(rest)
            lines = parts[1::2]
            if len(lines) > MARKS_MAX:
                return False
            block = self._blocks.get(b"".join(parts[::2])[2:])
            if block is None:
                return False
        marks: list[tuple[str, str]] = []
        asked_range = validator = None
        for line in lines:
            raw_name, _, value = line.partition(b":")
            name = _NAMES.get(raw_name) or raw_name.decode("ascii").lower()
            value = value.strip(b" \t")
            if name == "range":
                asked_range = value
            elif name == "if-none-match" or (name == "if-modified-since" and validator is None):
                validator = name, value  # If-None-Match counts before If-Modified-Since
            marks.append((name, value.decode("latin-1")))
        if asked_range is not None and validator is not None:
            return False
        if len(lines) > 1 and len({name for name, _ in marks}) < len(lines):
            return False
        return self._serve_found(
            connection, data, line_end, block, tuple(marks), asked_range, validator
        )

    def _serve_found(
        self,
        connection: Connection,
        data: bytes,
        line_end: int,
        block: _Block,
        marks: Headers,
        asked_range: bytes | None,
        validator: tuple[str, bytes] | None,
    ) -> bool:
        is_head = data[:5] == b"HEAD "
        if not is_head and data[:4] != b"GET ":
            return False
        text = data[5 if is_head else 4 : line_end]
        key = text if b"CMCD" not in text else without_cmcd(text)
        target = block.shelf.get(b"GET " + key) if key is not None else None
        if target is None or len(text) > self._server.target_length_max:
            return False
        now_s = self._now_s()
        if now_s >= target.until_s and not self._renew(target, now_s):
            return False
        if self._plain(target.url) is not target.entry:
            return False
        asked = target.target if key is text else text.decode("ascii")
        headers = block.headers + marks if marks else block.headers
        if validator is not None:
            head = self._not_modified(target, validator)
            return head is not None and self._send_head(
                connection, target, head, asked, headers, now_s
            )
        if is_head:
            return asked_range is None and self._send_head(
                connection, target, target.head, asked, headers, now_s
            )
        first, size_bytes, head = 0, target.size_bytes, target.head
        if asked_range is not None:
            part = part_of(asked_range, target.size_bytes)
            if part is None or target.partial is None:
                return False
            first, last = part
            size_bytes = last - first + 1
            head = b"%bcontent-length: %d\r\ncontent-range: bytes %d-%d/%d\r\n%b" % (
                target.partial, size_bytes, first, last, target.size_bytes, target.moment
            )  # fmt: skip
        content = self._in_memory(target.object_id) if size_bytes <= SMALL_BYTES else None
        if content is None:
            return self._send(connection, target, head, first, size_bytes, asked, headers, now_s)
        connection.due_s = now_s + self._idle_s
        connection.transport.write(head + content[first : first + size_bytes])
        self._report(connection, target, asked, headers, now_s, size_bytes)
        return True

    def _not_modified(self, target: _Target, validator: tuple[str, bytes]) -> bytes | None:
        name, value = validator
        if target.same is None:
            return None
        if name == "if-none-match":
            tag = ENTITY_TAG.fullmatch(value)
            if tag is None or tag[1] != target.entry.etag:
                return None
        elif value != target.entry.last_modified:
            return None
        return target.same + target.moment

    def _send_head(
        self,
        connection: Connection,
        target: _Target,
        head: bytes,
        asked: str,
        headers: Headers,
        now_s: float,
    ) -> bool:
        connection.due_s = now_s + self._idle_s
        connection.transport.write(head)
        self._report(connection, target, asked, headers, now_s, 0)
        return True

    def _send(
        self,
        connection: Connection,
        target: _Target,
        head: bytes,
        first: int,
        size_bytes: int,
        asked: str,
        headers: Headers,
        now_s: float,
    ) -> bool:
        connection.due_s = now_s + self._idle_s
        done = partial(self._sent, connection, target, asked, headers, now_s)
        sent_bytes = self._send_object(connection, head, target.object_id, first, size_bytes, done)
        if sent_bytes >= 0:
            self._report(connection, target, asked, headers, now_s, sent_bytes)
        return sent_bytes != NOT_HERE

    def _sent(
        self,
        connection: Connection,
        target: _Target,
        asked: str,
        headers: Headers,
        now_s: float,
        is_whole: bool,
        sent_bytes: int,
    ) -> None:
        self._report(connection, target, asked, headers, now_s, sent_bytes)
        connection.answered(is_whole=is_whole)

    def _report(
        self,
        connection: Connection,
        target: _Target,
        asked: str,
        headers: Headers,
        now_s: float,
        sent_bytes: int,
    ) -> None:
        self._append(
            Hit(
                at_s=now_s,
                target=asked,
                headers=headers,
                client=connection.client,
                object_id=target.object_id,
                sent_bytes=sent_bytes,
                url=target.url,
            )
        )

    def _renew(self, target: _Target, now_s: float) -> bool:
        """What the head says of this moment. False when the entry is no longer fresh."""
        entry = target.entry
        if self._core.revision != self._revision:
            self.forget()
            return False
        now_wall_s = self._epoch_s + now_s
        if now_wall_s >= entry.fresh_until_wall_s:
            return False
        age = age_s(entry.freshness, now_wall_s)
        left_s = entry.freshness.lifetime_s - age
        target.until_s = now_s + min(1 - age % 1, left_s % 1)
        target.moment = self._server.heads.moment(entry, int(age), int(left_s))
        target.head = target.fixed + target.moment
        return True

    # Learning

    def learn(self, raw: bytes, request: Requested, now_s: float) -> None:
        """The ordinary way has found a hit for this head: remember how, if it is a plain one."""
        if self._core.revision != self._revision:
            self.forget()
        line_end = raw.find(_LINE_END)
        text = raw[4:line_end] if raw[:4] == b"GET " else None
        if text is None or line_end < 0 or not text.startswith(b"/"):
            return
        key = text if b"CMCD" not in text else without_cmcd(text)
        if key is None or request.target.partition("?")[0] in self._server.special_paths:
            return
        plain = b"".join(_MARKED.split(raw[line_end + 9 :])[::2])[2:]
        block = self._blocks.get(plain)
        if block is None:
            block = self._learn_block(plain, request)
            if block is None:
                return
        shelf_key = b"GET " + key
        known = block.shelf.get(shelf_key)
        entry = self._core.find_plain(request)
        if entry is None or (known is not None and known.entry is entry):
            return
        target = self._learn_target(key.decode("ascii"), block, entry, request, now_s)
        if target is not None:
            if len(block.shelf) >= TARGETS_MAX:
                block.shelf.clear()
            block.shelf[shelf_key] = target

    def _learn_block(self, plain: bytes, request: Requested) -> _Block | None:
        if len(plain) > BLOCK_BYTES_MAX:
            return None
        try:
            headers = parse_fields(plain, self._server.limits)
            read_request("GET", "/", 1, headers)
        except MalformedMessage:
            return None  # it was one head only with the lines that are cut out
        if len(headers) + MARKS_MAX > self._server.limits.field_count_max:
            return None
        for name, value in headers:
            if name in _HEEDED and (name, value.lower()) != _KEEP_ALIVE:
                return None
        host = ""
        if self._core.keeps_hosts_apart:
            host = next((value for name, value in headers if name == "host"), "")
        if len(self._blocks) >= BLOCKS_MAX or len(self._shelves) >= SHELVES_MAX:
            self.forget()
        block = self._blocks[plain] = _Block(headers, self._shelves.setdefault(host, {}))
        return block

    def _learn_target(
        self, text: str, block: _Block, entry: HotEntry, request: Requested, now_s: float
    ) -> _Target | None:
        """Ask the ordinary way what it would answer, for each kind of question."""

        def ask(*more: tuple[str, str]) -> ServeObject | None:
            return self._core.find_hit(
                Requested(
                    request_id=request.request_id,
                    method="GET",
                    target=text,
                    headers=(*block.headers, *more),
                    client=request.client,
                ),
                now_s,
            )

        whole = ask()
        if whole is None or whole.status != 200 or whole.object_id != entry.stored.object_id:
            return None
        heads = self._server.heads
        target = _Target(text, entry, heads.fixed(200, whole.headers, ()))
        if entry.stored.size_bytes:
            part = ask(("range", "bytes=0-0"))
            if part is not None and part.status == 206:
                target.partial = heads.fixed(206, part.headers, ("content-length", "content-range"))
        validator = validator_of(entry)
        if validator is not None:
            same = ask(validator)
            if same is not None and same.status == 304:
                target.same = heads.fixed(304, same.headers, ())
        return target

    def forget(self) -> None:
        self._blocks.clear()
        self._shelves.clear()
        self._revision = self._core.revision
        self._idle_s = self._server.settings.idle_s
