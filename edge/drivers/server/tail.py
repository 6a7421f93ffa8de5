"""What a client has sent that was not looked at yet, and the next head in it."""

from __future__ import annotations

from typing import Final

from nearcast.http1 import Limits, MalformedMessage, check_partial, find_head_end

CHECK_BYTES: Final = 512
"""An unfinished head is looked through again when it has grown by so much."""


class Tail:
    """The bytes of one connection, in order."""

    __slots__ = ("_looked_bytes", "_searched_bytes", "data", "is_line_skipped")

    def __init__(self) -> None:
        self.data = b""
        self.is_line_skipped = False
        """The one empty line that may come before a request has come."""
        self._searched_bytes = 0
        self._looked_bytes = 0

    def add(self, data: bytes) -> None:
        self.data = self.data + data if self.data else data

    def take(self) -> bytes:
        """All of it."""
        data, self.data = self.data, b""
        return data

    def put_before(self, data: bytes) -> None:
        """What was taken, and is somebody else's."""
        self.data = data + self.data

    def take_head(self, limits: Limits) -> bytes | None:
        """The first request's head, once it is complete. Raises MalformedMessage as soon as it can
        be none."""
        data = self.data
        if data.startswith(b"\r\n"):  # after a body, from careless clients (RFC 9112, 2.2)
            if self.is_line_skipped:
                raise MalformedMessage(400, "more than one empty line before a request")
            self.is_line_skipped = True
            self.data = data[2:]
            self._searched_bytes = self._looked_bytes = 0
            return self.take_head(limits) if self.data else None
        end = find_head_end(data, self._searched_bytes)
        if end < 0:
            self._searched_bytes = len(data)
            if len(data) - self._looked_bytes >= CHECK_BYTES or not self._looked_bytes:
                self._looked_bytes = len(data)
                check_partial(data, limits)
            return None
        self._searched_bytes = self._looked_bytes = 0
        self.is_line_skipped = False
        if end == len(data):
            self.data = b""
            return data
        self.data = data[end:]
        return data[:end]
