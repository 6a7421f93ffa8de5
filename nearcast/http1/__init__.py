"""HTTP/1.1 on the wire, strictly and without I/O (RFC 9112).

Bytes come in, heads and bodies come out; nothing here reads a socket or knows a timer, so the edge
uses the same code towards clients and upstreams and the tests feed it byte by byte.

A message is a head (start line, field lines, an empty line) and a body whose end one *framing*
decides: a number of bytes, chunks, or the end of the connection. Everything that two readers
could understand differently is refused instead of repaired: bare line feeds, folded lines, space
before a colon, several or odd lengths, a length beside chunks, unknown codings. Such repairs are
what request smuggling is made of, and a cache that guesses wrongly gives one viewer another's
answer.
"""

from nearcast.http1.body import BodyDecoder, ChunkedBody, CloseBody, SizedBody, decoder
from nearcast.http1.fields import Headers, Limits, MalformedMessage, parse_fields
from nearcast.http1.head import (
    LENGTH_DIGITS_MAX,
    Framing,
    RequestHead,
    ResponseHead,
    check_partial,
    find_head_end,
    is_persistent,
    parse_request_head,
    parse_request_line,
    parse_response_head,
    read_request,
    request_framing,
)
from nearcast.http1.write import (
    format_chunk,
    format_fields,
    format_last_chunk,
    format_request_head,
    format_response_head,
)

__all__ = [
    "LENGTH_DIGITS_MAX",
    "BodyDecoder",
    "ChunkedBody",
    "CloseBody",
    "Framing",
    "Headers",
    "Limits",
    "MalformedMessage",
    "RequestHead",
    "ResponseHead",
    "SizedBody",
    "check_partial",
    "decoder",
    "find_head_end",
    "format_chunk",
    "format_fields",
    "format_last_chunk",
    "format_request_head",
    "format_response_head",
    "is_persistent",
    "parse_fields",
    "parse_request_head",
    "parse_request_line",
    "parse_response_head",
    "read_request",
    "request_framing",
]
