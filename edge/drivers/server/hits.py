"""The short way for hits: from a request's bytes to an answer without reading the request anew.

It decides nothing and changes nothing (docs/adr/0004-hits-read-only.md). Everything it knows it has
learned from answers that the ordinary way gave (edge.drivers.server.lessons): header blocks and
targets, by their bytes. Lines that change from request to request and a CMCD argument are cut out;
what they ask for is answered within the rules at the top of edge.hot.

An entry is looked up in the hot table for every hit, so what is learned never outlives what it
was learned from. Whatever is not plainly a hit leaves no trace here and goes the ordinary way.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from cache.http.freshness import age_s
from edge.drivers.server.lessons import LINE_END, MARKED, MARKS_MAX, Block, Lessons, Target
from edge.drivers.server.plain import ENTITY_TAG, part_of, without_cmcd
from edge.drivers.server.sending import NOT_HERE, SMALL_BYTES
from edge.events import Headers, Hit
from nearcast.clock import Clock

if TYPE_CHECKING:
    from edge.drivers.server.connection import Connection
    from edge.drivers.server.server import EdgeServer

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
        self._lessons = Lessons(server)
        self._blocks = self._lessons.blocks
        self.learn = self._lessons.learn

    def serve(self, connection: Connection, data: bytes) -> bool:
        """Answer these bytes if they are one head and plainly a hit. False: nothing was done."""
        line_end = data.find(LINE_END)
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
        self, connection: Connection, data: bytes, line_end: int, block: Block
    ) -> bool:
        """HEAD, and targets with CMCD."""
        return self._serve_found(connection, data, line_end, block, (), None, None)

    def _serve_marked(self, connection: Connection, data: bytes, line_end: int) -> bool:
        """Lines of the block change from request to request."""
        rest = data[line_end + 9 :]
        mark = MARKED.search(rest)
        if mark is None or rest[-4:] != b"\r\n\r\n":
            return False
        lines = [mark[1]]
        block = self._blocks.get(rest[2 : mark.start()] + rest[mark.end() :])
        if block is None:  # mostly because there are more
            parts = MARKED.split(rest)
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
        block: Block,
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

    def _not_modified(self, target: Target, validator: tuple[str, bytes]) -> bytes | None:
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
        target: Target,
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
        target: Target,
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
        target: Target,
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
        target: Target,
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

    def _renew(self, target: Target, now_s: float) -> bool:
        """What the head says of this moment. False when the entry is no longer fresh."""
        entry = target.entry
        if self._core.revision != self._lessons.revision:
            self._lessons.forget()
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

    def reconfigure(self) -> None:
        """Settings or services have changed."""
        self._lessons.forget()
        self._idle_s = self._server.settings.idle_s
