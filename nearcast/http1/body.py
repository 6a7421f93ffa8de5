"""Bodies as they come in: where they end, and what is payload (RFC 9112, 6 and 7).

    feed(data) -> payload, until is_complete; rest is what came after the end

Chunked bodies are a machine of three states: a size line, that many bytes with a line end, and
after the last chunk the trailer fields.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from nearcast.http1.fields import Headers, Limits, MalformedMessage, parse_fields
from nearcast.http1.head import Framing

# The extension is skipped, but must not hide a line end from somebody else's parser.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_CRLF: Final = b"\r\n"


class BodyDecoder(Protocol):
    """Takes a body's bytes off a connection."""

    is_complete: bool
    rest: bytes
    """What was fed beyond the end: the next message, or too much."""
    trailers: Headers

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`. Raises MalformedMessage when it is no body."""

    def eof(self) -> None:
        """The connection has ended. Raises MalformedMessage unless the body had, or ends so."""


def decoder(framing: Framing, limits: Limits) -> BodyDecoder:
    """For a body of this framing; one of 0 bytes is complete at once."""
    if framing == "chunked":
        return ChunkedBody(limits)
    if framing == "close":
        return CloseBody()
    return SizedBody(framing)


class SizedBody:
    """A number of bytes."""

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes
        self.is_complete = size_bytes == 0
        self.rest = b""
        self.trailers: Headers = ()

    def feed(self, data: bytes) -> bytes:
        if len(data) > self.left_bytes:
            data, self.rest = data[: self.left_bytes], self.rest + data[self.left_bytes :]
        self.left_bytes -= len(data)
        self.is_complete = self.left_bytes == 0
        return data

    def eof(self) -> None:
        if not self.is_complete:
            raise MalformedMessage(400, f"cut off {self.left_bytes} bytes before its end")


class CloseBody:
    """All that comes until the connection ends. Nobody can tell whether it was cut off."""

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self.trailers: Headers = ()

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> None:
        self.is_complete = True


class ChunkedBody:
    """Chunks, each with its size before it, then trailer fields."""

    def __init__(self, limits: Limits) -> None:
        self.is_complete = False
        self.rest = b""
        self.trailers: Headers = ()
        self._limits = limits
        self._held = b""  # an unfinished line, or the trailers so far
        self._left_bytes = 0  # of the chunk under way
        self._is_in_chunk = False
        self._is_in_trailers = False

    def feed(self, data: bytes) -> bytes:
        if self.is_complete:
            self.rest += data
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        payload: list[bytes] = []
        position = 0
        while not self.is_complete:
            if self._is_in_trailers:
                position = self._read_trailers(data, position)
            elif self._is_in_chunk:
                position = self._read_chunk(data, position, payload)
            else:
                position = self._read_size(data, position)
            if position < 0:
                break
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def eof(self) -> None:
        if not self.is_complete:
            raise MalformedMessage(400, "cut off before its last chunk")

    # Each reads on from `position` and returns where to go on, or -1 when more must come first.

    def _read_size(self, data: bytes, position: int) -> int:
        end = data.find(_CRLF, position)
        if end < 0:
            return self._hold(data, position, self._limits.chunk_line_bytes_max, b"\n")
        match = _SIZE_LINE.fullmatch(data, position, end)
        if match is None or end - position > self._limits.chunk_line_bytes_max:
            raise MalformedMessage(400, "a chunk size that is none")
        self._left_bytes = int(match[1], 16)
        self._is_in_chunk = self._left_bytes > 0
        self._is_in_trailers = not self._is_in_chunk
        return end + 2

    def _read_chunk(self, data: bytes, position: int, payload: list[bytes]) -> int:
        if self._left_bytes:
            piece = data[position : position + self._left_bytes]
            self._left_bytes -= len(piece)
            position += len(piece)
            if piece:
                payload.append(piece)
            if self._left_bytes:
                return -1
        line_end = data[position : position + 2]
        if line_end == _CRLF:
            self._is_in_chunk = False
            return position + 2
        if not _CRLF.startswith(line_end):
            raise MalformedMessage(400, "a chunk that is longer than it says")
        self._held = line_end
        return -1

    def _read_trailers(self, data: bytes, position: int) -> int:
        if data.startswith(_CRLF, position):
            end = position + 2
        else:
            end = data.find(b"\r\n\r\n", position) + 4
            if end < 4:
                return self._hold(data, position, self._limits.head_bytes_max, None)
        self.trailers = parse_fields(data[position:end], self._limits)
        self.is_complete = True
        self.rest = data[end:]
        return end

    def _hold(self, data: bytes, position: int, bytes_max: int, stop: bytes | None) -> int:
        """Keep an unfinished line for the next call; it must not grow for ever."""
        self._held = data[position:]
        if len(self._held) > bytes_max or (stop is not None and stop in self._held):
            raise MalformedMessage(400, "a chunk without a proper line end")
        return -1
