"""The heads of answers: what the core wants said, and what the connection has to say."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

from edge.answers import ERROR_FIELDS, error_text
from edge.events import Headers
from edge.hot import HotEntry
from nearcast.cache_status import CacheStatus, format_cache_status
from nearcast.clock import Clock
from nearcast.errors import LocalProtocolError
from nearcast.http1 import format_fields, format_response_head

SERVER: Final = "nearcast"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_CLOSE: Final = ("connection", "close")
_KEEP_ALIVE: Final = ("connection", "keep-alive")
_OF_THE_MOMENT: Final = frozenset({"age", "cache-status"})
_CHUNKED: Final = ("transfer-encoding", "chunked")


class Heads:
    """Formats heads. One for all connections: it keeps the date of this second."""

    def __init__(self, clock: Clock, name: str) -> None:
        self._name = name
        self._clock = clock
        self._date = ("date", "")
        self._date_s = -1
        # A crowd that waited for the same fill is answered with the same fields, one by one.
        self._last_headers: Headers | None = None
        self._last_traits: tuple[int, ...] = ()
        self._last_head = b""

    def date(self) -> tuple[str, str]:
        second = int(self._clock.epoch_s + self._clock.now_s())
        if second != self._date_s:
            self._date_s = second
            self._date = ("date", formatdate(second, usegmt=True))
        return self._date

    def final(
        self,
        status: int,
        headers: Headers,
        *,
        minor_version: int,
        is_keep_alive: bool,
        is_chunked: bool = False,
    ) -> bytes:
        """The head of the one final answer. Raises LocalProtocolError when a field would split
        it."""
        self.date()
        traits = (status, minor_version, is_keep_alive, is_chunked, self._date_s)
        if headers is not self._last_headers or traits != self._last_traits:
            self._last_head = self._final(status, headers, minor_version, is_keep_alive, is_chunked)
            self._last_headers, self._last_traits = headers, traits
        return self._last_head

    def _final(
        self,
        status: int,
        headers: Headers,
        minor_version: int,
        is_keep_alive: bool,
        is_chunked: bool,
    ) -> bytes:
        fields = list(headers)
        names = {name for name, _ in headers}
        if "date" not in names:
            fields.append(self.date())
        if "server" not in names:
            fields.append(("server", SERVER))
        if is_chunked:
            fields.append(_CHUNKED)
        if not is_keep_alive:
            fields.append(_CLOSE)
        elif not minor_version:
            fields.append(_KEEP_ALIVE)
        return format_response_head(status, tuple(fields))

    # Of plain hits, in two pieces: what stays, and what changes with time.

    def fixed(self, status: int, headers: Headers, without: tuple[str, ...]) -> bytes:
        """All that the answer to a plain hit always says. Raises LocalProtocolError."""
        left_out = {*_OF_THE_MOMENT, *without}
        fields = [field for field in headers if field[0] not in left_out]
        if not any(name == "server" for name, _ in headers):
            fields.append(("server", SERVER))
        return format_response_head(status, tuple(fields))[:-2]

    def moment(self, entry: HotEntry, age: int, ttl: int) -> bytes:
        """What it says of this second, with the empty line that ends the head."""
        status = CacheStatus(cache=self._name, is_hit=True, ttl_s=ttl)
        text = format_cache_status(status, after=entry.cache_status_before or None)
        fields: Headers = (("age", str(age)), ("cache-status", text))
        if not any(name == "date" for name, _ in entry.fields):
            fields = (*fields, self.date())
        return format_fields(fields) + b"\r\n"

    def text(
        self,
        status: int,
        detail: str,
        *,
        minor_version: int = 1,
        is_keep_alive: bool = False,
        headers: Headers = (),
        has_body: bool = True,
    ) -> bytes:
        """A whole answer of the server's own."""
        text = error_text(status, detail)
        fields = (*ERROR_FIELDS, ("content-length", str(len(text))), *headers)
        head = self.final(status, fields, minor_version=minor_version, is_keep_alive=is_keep_alive)
        return head + text if has_body else head


def interim(status: int, headers: Headers) -> bytes:
    """A 1xx answer; empty when it cannot be told."""
    try:
        return format_response_head(status, headers)
    except LocalProtocolError:
        return b""
