"""Heads and chunks as bytes. Whoever calls decides which fields belong in them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from nearcast.errors import LocalProtocolError
from nearcast.http1.fields import Headers

_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES: Final = {
    status: f"HTTP/1.1 {status} {reason}\r\n" for status, reason in _REASONS.items()
}


def format_response_head(status: int, headers: Headers) -> bytes:
    """A response's status line and fields, with the empty line."""
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    return f"{line}{_lines(headers)}\r\n".encode("latin-1", "replace")


def format_request_head(method: str, target: str, headers: Headers) -> bytes:
    """A request's line and fields, with the empty line."""
    if " " in target or "\r" in target or "\n" in target:
        raise LocalProtocolError("a target with white space would split the request")
    return f"{method} {target} HTTP/1.1\r\n{_lines(headers)}\r\n".encode("latin-1", "replace")


def format_fields(headers: Headers) -> bytes:
    """Field lines alone, without the empty line."""
    return _lines(headers).encode("latin-1", "replace")


def format_chunk(data: bytes | memoryview) -> bytes:
    """One chunk; never call it with nothing, that would be the last one."""
    assert len(data)
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


def format_last_chunk(trailers: Headers = ()) -> bytes:
    return b"0\r\n" + format_fields(trailers) + b"\r\n"


def _lines(headers: Headers) -> str:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # A value that held a line end would be read as two fields (response splitting, CWE-113).
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise LocalProtocolError("a header field holds a line end")
    return text
