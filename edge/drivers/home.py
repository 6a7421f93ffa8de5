"""GET /.nearcast/titles on the main port: the rows a client is shown, where that is configured.

    ?count=N        at most so many, 1 to 100; 20 when it is not said
    &format=hls     manifests of this format; dash when it is not said

No other site's pages may read the answer (there is no CORS field): it is given by address, so that
they would learn what their visitors like.
"""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import parse_qs

import msgspec

from edge.events import Headers, Requested
from edge.media_map import StreamFormat
from edge.titles.home import COUNT_MAX, Row

TITLES_PATH: Final = "/.nearcast/titles"
COUNT: Final = 20
_FORMATS: Final[dict[str, StreamFormat]] = {"dash": "dash", "hls": "hls"}


class Rows(Protocol):
    """Who knows what a client may like."""

    def home_rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat
    ) -> tuple[Row, ...]: ...


class Home:
    """Answers the path, if home rows are on."""

    def __init__(self, rows: Rows, *, is_on: bool) -> None:
        self._rows = rows
        self.paths = frozenset((TITLES_PATH,)) if is_on else frozenset[str]()

    def answer(self, requested: Requested) -> tuple[int, Headers, bytes]:
        """Status, fields and body."""
        if requested.method not in ("GET", "HEAD"):
            return _answer(405, "text/plain; charset=utf-8", b"GET it\n", (("allow", "GET, HEAD"),))
        asked = parse_qs(requested.target.partition("?")[2])
        count = asked.get("count", [str(COUNT)])[0]
        form = _FORMATS.get(asked.get("format", ["dash"])[0])
        is_count = count.isascii() and count.isdigit() and len(count) <= 3
        if form is None or not is_count or not 1 <= int(count) <= COUNT_MAX:
            text = f"count is 1 to {COUNT_MAX}, format dash or hls\n".encode()
            return _answer(400, "text/plain; charset=utf-8", text)
        rows = self._rows.home_rows(requested.client, requested.headers, int(count), form)
        status, headers, text = _answer(
            200, "application/json", msgspec.json.encode({"titles": rows}) + b"\n"
        )
        return status, headers, b"" if requested.method == "HEAD" else text


def _answer(
    status: int, content_type: str, text: bytes, fields: Headers = ()
) -> tuple[int, Headers, bytes]:
    headers = (
        ("content-type", content_type),
        ("content-length", str(len(text))),
        ("cache-control", "private, no-store"),
        ("server", "nearcast"),
        *fields,
    )
    return status, headers, text
