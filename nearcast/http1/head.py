"""Heads of requests and responses, and what they say about the body that follows.

    find_head_end -> parse_request_head | parse_response_head -> framing -> nearcast.http1.body

`read_request` is `parse_request_head` with the field lines already read: a server that remembers
header blocks it has seen parses only the request line.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from nearcast.http1.fields import TOKEN, Headers, Limits, MalformedMessage, parse_fields

Framing = int | Literal["chunked", "close"]
"""Where a body ends: after that many bytes (0: there is none), after the last chunk, or with the
connection."""

LENGTH_DIGITS_MAX: Final = 18
"""Keeps every size below 2^63; a longer number is nonsense, not a video."""

_REQUEST_LINE: Final = re.compile(
    rb"(" + TOKEN + rb"{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])\r\n"
)
_STATUS_LINE: Final = re.compile(
    rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n"
)
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n|\x00")
# host or [v6], and a port; what a name may hold is left to whoever looks it up.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-fv:.]+\])(?::[0-9]{0,5})?")
_DIGITS: Final = re.compile(r"[0-9]+")


class RequestHead(msgspec.Struct, frozen=True):
    """`target` is as received; `minor_version` is 0 or 1."""

    method: str
    target: str
    minor_version: int
    headers: Headers
    framing: Framing
    is_keep_alive: bool
    expects_continue: bool


class ResponseHead(msgspec.Struct, frozen=True):
    """`is_keep_alive`: the connection can carry another exchange once the body has ended."""

    status: int
    reason: str
    minor_version: int
    headers: Headers
    framing: Framing
    is_keep_alive: bool


def find_head_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """The index after the empty line that ends a head; -1 while it is not there.

    `start`: how much was searched before; the end may reach three bytes back into it.
    """
    end = buffer.find(b"\r\n\r\n", max(0, start - 3))
    return end + 4 if end >= 0 else -1


def check_partial(buffer: bytes | bytearray, limits: Limits) -> None:
    """Refuse a head early that can never become one, or is too large already.

    Raises MalformedMessage; without it such a peer would be waited for until its deadline.
    """
    if _BARE_LINE_FEED.search(buffer):
        raise MalformedMessage(400, "a line end that is not CR LF, or a zero byte")
    line_end = buffer.find(b"\r\n")
    if line_end < 0:
        if len(buffer) > limits.line_bytes_max:
            raise MalformedMessage(
                414, f"a request line of more than {limits.line_bytes_max} bytes"
            )
        return
    if line_end > limits.line_bytes_max:
        raise MalformedMessage(414, f"a request line of more than {limits.line_bytes_max} bytes")
    if len(buffer) - line_end > limits.head_bytes_max:
        raise MalformedMessage(431, f"a head of more than {limits.head_bytes_max} bytes")


def parse_request_head(head: bytes, limits: Limits) -> RequestHead:
    """Read a whole request head, with the empty line that ends it.

    Raises MalformedMessage with 400, 414, 417, 431, 501 or 505.
    """
    line_end = head.index(b"\r\n") + 2
    method, target, minor_version = parse_request_line(head[:line_end], limits)
    return read_request(method, target, minor_version, parse_fields(head[line_end:], limits))


def parse_request_line(line: bytes, limits: Limits) -> tuple[str, str, int]:
    """Method, target and minor version of a request line with its CR LF.

    Raises MalformedMessage with 400, 414 or 505.
    """
    if len(line) > limits.line_bytes_max:
        raise MalformedMessage(414, f"a request line of more than {limits.line_bytes_max} bytes")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage(400, "the request line is not `METHOD target HTTP/1.1`")
    if match[3] != b"1":
        raise MalformedMessage(505, "this server speaks HTTP/1.0 and HTTP/1.1")
    # A later minor version is understood as the latest that we know (RFC 9110, 2.5).
    minor_version = 0 if match[4] == b"0" else 1
    return match[1].decode("ascii"), match[2].decode("ascii"), minor_version


def read_request(method: str, target: str, minor_version: int, headers: Headers) -> RequestHead:
    """What the fields say about one request. Raises MalformedMessage with 400, 417 or 501."""
    framing = request_framing(headers, minor_version)
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) > 1 or (not hosts and minor_version):
        raise MalformedMessage(400, "a request needs exactly one Host")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise MalformedMessage(400, "the Host is not host[:port]")
    expectations = [value.lower() for name, value in headers if name == "expect"]
    if expectations and (expectations != ["100-continue"]):
        raise MalformedMessage(417, "the only expectation met is 100-continue")
    return RequestHead(
        method,
        target,
        minor_version,
        headers,
        framing,
        is_persistent(headers, minor_version),
        bool(expectations) and bool(minor_version) and framing != 0,
    )


def request_framing(headers: Headers, minor_version: int) -> Framing:
    """Where a request's body ends (RFC 9112, 6.3). Raises MalformedMessage with 400 or 501.

    Stricter than the RFC where it leaves a choice: a repeated Content-Length is refused even when
    its values agree, as is one beside Transfer-Encoding.
    """
    lengths = [value for name, value in headers if name == "content-length"]
    codings = [value for name, value in headers if name == "transfer-encoding"]
    if codings:
        if lengths:
            raise MalformedMessage(400, "Content-Length beside Transfer-Encoding")
        return _chunked(codings, minor_version)
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise MalformedMessage(400, "several Content-Length fields")
    return _length(lengths[0])


def parse_response_head(head: bytes, request_method: str, limits: Limits) -> ResponseHead:
    """Read the head of an answer to a request of that method. Raises MalformedMessage."""
    line_end = head.index(b"\r\n") + 2
    match = _STATUS_LINE.fullmatch(head[:line_end])
    if match is None or line_end > limits.line_bytes_max:
        raise MalformedMessage(502, "the status line is not `HTTP/1.1 status reason`")
    minor_version = 0 if match[1] == b"0" else 1
    status = int(match[2])
    headers = parse_fields(head[line_end:], limits)
    framing = _response_framing(status, headers, request_method, minor_version)
    return ResponseHead(
        status,
        (match[3] or b"").decode("latin-1"),
        minor_version,
        headers,
        framing,
        framing != "close" and is_persistent(headers, minor_version),
    )


def _response_framing(
    status: int, headers: Headers, request_method: str, minor_version: int
) -> Framing:
    """Where a response's body ends (RFC 9112, 6.3)."""
    codings = [value for name, value in headers if name == "transfer-encoding"]
    # Lists are split: `5, 5` is one length that some hop repeated (RFC 9110, 8.6).
    lengths = {
        member.strip(" \t")
        for name, value in headers
        if name == "content-length"
        for member in value.split(",")
    }
    if codings and lengths:
        raise MalformedMessage(502, "Content-Length beside Transfer-Encoding")
    if len(lengths) > 1:
        raise MalformedMessage(502, "several Content-Length values that disagree")
    length = _length(lengths.pop()) if lengths else None
    if request_method == "HEAD" or status < 200 or status in (204, 304):
        return 0
    if codings:
        return _chunked(codings, minor_version)
    return length if length is not None else "close"


def is_persistent(headers: Headers, minor_version: int) -> bool:
    """Whether the connection stays open after this message (RFC 9112, 9.3)."""
    options: set[str] = set()
    for name, value in headers:
        if name == "connection":
            options.update(option.strip(" \t").lower() for option in value.split(","))
    if "close" in options:
        return False
    return bool(minor_version) or "keep-alive" in options


def _chunked(codings: list[str], minor_version: int) -> Framing:
    names = [coding.strip(" \t").lower() for value in codings for coding in value.split(",")]
    if not minor_version:
        raise MalformedMessage(400, "Transfer-Encoding in HTTP/1.0")
    if names == ["chunked"]:
        return "chunked"
    if names[-1] == "chunked" and "chunked" not in names[:-1] and all(names):
        raise MalformedMessage(501, "a transfer coding other than chunked")
    if "chunked" not in names and all(names):
        raise MalformedMessage(501, "a transfer coding other than chunked")
    raise MalformedMessage(400, "a Transfer-Encoding that does not end in one chunked")


def _length(text: str) -> int:
    if _DIGITS.fullmatch(text) is None or len(text) > LENGTH_DIGITS_MAX:
        raise MalformedMessage(400, "a Content-Length that is no size")
    return int(text)
