"""What the hit path has learned from answers that the ordinary way gave.

- of a *header block* (all of a head but its first line), by its bytes, that the strict parser took
  it and found nothing in it that a plain hit would have to heed. Players repeat their blocks;
- of a *target*, by its bytes, which entry of the hot table answers it, and what the ordinary
  answer's head looks like.

Some lines change from request to request: Range, validators, CMCD. They are cut out of a block
before it is remembered, and out of an unknown block, which must then be a known one. Each is a
whole line of the form that the parser demands, so that the block with them is as good as the block
without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from edge.drivers.server.plain import validator_of, without_cmcd
from edge.effects import ServeObject
from edge.events import Headers, Requested
from edge.hot import HotEntry
from nearcast.http1 import MalformedMessage, parse_fields, read_request

if TYPE_CHECKING:
    from edge.drivers.server.server import EdgeServer

BLOCKS_MAX: Final = 4096
BLOCK_BYTES_MAX: Final = 2048
TARGETS_MAX: Final = 16_384
SHELVES_MAX: Final = 64
"""Hosts whose targets are kept apart. Beyond any of these bounds all is forgotten and learned
again, so a flood of odd requests costs others a little speed and no memory."""
MARKS_MAX: Final = 8

LINE_END: Final = b" HTTP/1.1\r\n"
# Begins with a literal, for speed; a value is what the parser takes for one.
MARKED: Final = re.compile(
    rb"\n((?:range|if-none-match|if-modified-since|cmcd-(?:object|request|session|status))"
    rb":[^\x00-\x08\x0a-\x1f\x7f]*)\r(?=\n)",
    re.IGNORECASE,
)

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


class Target:
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


class Block:
    """What is known of a header block. `shelf`: the targets of its host."""

    __slots__ = ("headers", "shelf")

    def __init__(self, headers: Headers, shelf: dict[bytes, Target]) -> None:
        self.headers = headers
        self.shelf = shelf


class Lessons:
    """Blocks by their bytes, and targets by theirs, for each host where hosts count."""

    def __init__(self, server: EdgeServer) -> None:
        self._server = server
        self._core = server.core
        self.revision = server.core.revision
        """Of the services these were learned under."""
        self.blocks: dict[bytes, Block] = {}
        self._shelves: dict[str, dict[bytes, Target]] = {}

    def learn(self, raw: bytes, request: Requested, now_s: float) -> None:
        """The ordinary way has found a hit for this head: remember how, if it is a plain one."""
        if self._core.revision != self.revision:
            self.forget()
        line_end = raw.find(LINE_END)
        text = raw[4:line_end] if raw[:4] == b"GET " else None
        if text is None or line_end < 0 or not text.startswith(b"/"):
            return
        key = text if b"CMCD" not in text else without_cmcd(text)
        if key is None or request.target.partition("?")[0] in self._server.special_paths:
            return
        plain = b"".join(MARKED.split(raw[line_end + 9 :])[::2])[2:]
        block = self.blocks.get(plain)
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

    def _learn_block(self, plain: bytes, request: Requested) -> Block | None:
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
        if len(self.blocks) >= BLOCKS_MAX or len(self._shelves) >= SHELVES_MAX:
            self.forget()
        block = self.blocks[plain] = Block(headers, self._shelves.setdefault(host, {}))
        return block

    def _learn_target(
        self, text: str, block: Block, entry: HotEntry, request: Requested, now_s: float
    ) -> Target | None:
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
        target = Target(text, entry, heads.fixed(200, whole.headers, ()))
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
        """In place: the hit path holds the same tables."""
        self.blocks.clear()
        self._shelves.clear()
        self.revision = self._core.revision
