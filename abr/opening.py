"""Getting from a URL to a title: requests for the manifest's texts, and their repetition."""

from __future__ import annotations

from abr.client_data import ClientData
from abr.config import PlayerConfig
from abr.events import RequestKind
from abr.loading import Loader
from abr.playback import TIME_S_TOLERANCE
from abr.requests import Requests
from abr.title import Title
from abr.transfer import Transfer


class Opening:
    """The first stage of a title. All requests without a track are its own."""

    def __init__(
        self, config: PlayerConfig, url: str, requests: Requests, client_data: ClientData
    ) -> None:
        self._retry = config.retry
        self._url = url
        self._requests = requests
        self._client_data = client_data
        self._loader = Loader(url, config.allow_hosts)
        self._failure_count = 0
        self._again_at_s: dict[tuple[RequestKind, str], float] = {}

    def start(self, now_s: float) -> None:
        self._send("manifest", self._url, now_s)

    def read(self, transfer: Transfer, text: bytes, now_s: float) -> Title | None:
        """Take in an answer; the title once all is known.

        Raises RemoteProtocolError.
        """
        if transfer.kind == "manifest":
            playlists = self._loader.read(text, transfer.url)
            self._client_data.stream_format = self._loader.stream_format
            for url in playlists:
                self._send("playlist", url, now_s)
        else:
            self._loader.read_playlist(text, transfer.url)
        presentation = self._loader.presentation
        return None if presentation is None else Title(presentation)

    def failed(self, transfer: Transfer, status: int | None, now_s: float) -> bool:
        """Whether the request will be repeated. What is not there (HTTP 4xx) is not."""
        self._failure_count += 1
        is_final = status is not None and 400 <= status < 500
        if is_final or self._failure_count > self._retry.manifest_count_max:
            return False
        wait_s = min(self._retry.base_s * 2.0 ** (self._failure_count - 1), self._retry.wait_s_max)
        url = self._url if transfer.kind == "manifest" else transfer.url
        self._again_at_s[transfer.kind, url] = now_s + wait_s
        return True

    def advance(self, now_s: float) -> None:
        """Repeat what is due."""
        for (kind, url), at_s in list(self._again_at_s.items()):
            if now_s >= at_s - TIME_S_TOLERANCE:
                del self._again_at_s[kind, url]
                self._send(kind, url, now_s)

    def due_s(self) -> float | None:
        return min(self._again_at_s.values(), default=None)

    def _send(self, kind: RequestKind, url: str, now_s: float) -> None:
        self._requests.send_text(kind, url, self._client_data.of_manifest(), now_s)
