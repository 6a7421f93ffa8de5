"""Field lines: `name: value`, each on a line of its own (RFC 9112, 5; RFC 9110, 5.5)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from nearcast.errors import RemoteProtocolError

Headers = tuple[tuple[str, str], ...]
"""Header fields in order, names in lower case. Values are the bytes as Latin-1, so that what is
passed on is what came, whatever its encoding."""

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Possessive, so that a hostile block costs one pass and no backtracking.
_BLOCK: Final = re.compile(rb"(?:" + TOKEN + rb"++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\r\n")
_NAME: Final = re.compile(TOKEN + rb"+")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a head may take. Whoever sends more gets 414 for the start line, else 431."""

    line_bytes_max: int = 16_384
    """Of the start line."""
    field_bytes_max: int = 16_384
    """Of one field line."""
    head_bytes_max: int = 65_536
    """Of all field lines together."""
    field_count_max: int = 128
    chunk_line_bytes_max: int = 1024
    """Of a chunk's size with its extensions, which nobody needs."""


class MalformedMessage(RemoteProtocolError):
    """A peer sent what is not HTTP, or more of it than we take.

    `status` answers a client; towards an upstream it is 502 whatever this says.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def parse_fields(block: bytes, limits: Limits) -> Headers:
    """Read field lines up to and with the empty line that ends them.

    Raises MalformedMessage: 431 over a limit, 400 for anything but `name: value` lines.
    """
    if len(block) > limits.head_bytes_max:
        raise MalformedMessage(431, f"a head of more than {limits.head_bytes_max} bytes")
    if _BLOCK.fullmatch(block) is None:
        raise MalformedMessage(400, _complaint(block))
    if block == b"\r\n":
        return ()
    lines = block[:-4].decode("latin-1").split("\r\n")
    if len(lines) > limits.field_count_max:
        raise MalformedMessage(431, f"more than {limits.field_count_max} header fields")
    if len(block) > limits.field_bytes_max and max(map(len, lines)) > limits.field_bytes_max:
        raise MalformedMessage(431, f"a header field of more than {limits.field_bytes_max} bytes")
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name.lower(), value.strip(" \t")))
    return tuple(fields)


def _complaint(block: bytes) -> str:
    """What is wrong with a block that is not field lines; never quotes it."""
    if not block.endswith(b"\r\n\r\n") and block != b"\r\n":
        return "the head does not end with an empty line"
    for line in block[:-4].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            return "a folded header line"
        if b"\n" in line or b"\r" in line:
            return "a line end that is not CR LF"
        if not colon:
            return "a header line without a colon"
        if name.endswith((b" ", b"\t")):
            return "white space before the colon of a header field"
        if _NAME.fullmatch(name) is None:
            return "a header name that is no token"
        if _CONTROL.search(value):
            return "a control character in a header value"
    return "an empty line within the head"
