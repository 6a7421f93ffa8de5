"""Getting from a URL to a title: requests for the manifest and its parts, and their repetition."""

from __future__ import annotations

from abr.client_data import ClientData
from abr.config import PlayerConfig
from abr.loading import Loader, Part
from abr.playback import TIME_S_TOLERANCE
from abr.requests import Requests
from abr.title import Title
from abr.transfer import Transfer
from nearcast.backoff import doubled_s
from nearcast.manifests import SteeringTag


class Opening:
    """The first stage of a title. All requests without a track are its own."""

    def __init__(
        self, config: PlayerConfig, url: str, requests: Requests, client_data: ClientData
    ) -> None:
        self._retry = config.retry
        self._is_steered = config.steering.is_on
        self._url = url
        self._requests = requests
        self._client_data = client_data
        steering = config.steering
        self._loader = Loader(
            url,
            (*config.allow_hosts, *requests.hosts.alike),
            steered_count_max=steering.host_count_max
            if steering.is_on and steering.hosts == "any"
            else 0,
        )
        self._failure_count = 0
        self._parts: dict[int, Part] = {}  # by request
        self._again_at_s: dict[Part, float] = {}

    @property
    def steering(self) -> SteeringTag | None:
        """What the manifest says of content steering, once it is here, if it is followed."""
        return self._loader.steering if self._is_steered else None

    def allows(self, url: str) -> bool:
        """Whether the manifest may lead to `url`."""
        return self._loader.allows(url)

    def start(self, now_s: float) -> None:
        self._send(Part(kind="manifest", url=self._url), now_s)

    def read(self, transfer: Transfer, text: bytes, now_s: float) -> Title | None:
        """Take in an answer; the title once all is known.

        Raises RemoteProtocolError.
        """
        part = self._parts.pop(transfer.request_id)
        if part.kind == "manifest":
            further = self._loader.read(text, transfer.url)
            self._client_data.stream_format = self._loader.stream_format
            self._requests.hosts.learn(self._loader.alternates)
            if self.steering is not None:
                self._requests.hosts.steer(self.steering.pathways, (), has_deep_params=False)
        else:
            further = self._loader.read_part(part, text, transfer.url)
        for each in further:
            self._send(each, now_s)
        return self._title()

    def failed(
        self, transfer: Transfer, status: int | None, now_s: float
    ) -> tuple[bool, Title | None]:
        """Whether the title can be had yet, and the title once all is known that can be.

        What is not there (HTTP 4xx) is not asked for again; a part of an HLS or indexed title is
        done without then, if there is another of its kind. Raises RemoteProtocolError.
        """
        part = self._parts.pop(transfer.request_id)
        hosts = self._requests.hosts
        if hosts.has_fresh(transfer.options, now_s):  # another one may have it
            self._again_at_s[part] = now_s
            return True, None
        self._failure_count += 1
        is_final = status is not None and 400 <= status < 500
        if is_final or self._failure_count > self._retry.manifest_count_max:
            if part.kind == "manifest" or not self._loader.do_without(part):
                return False, None
            return True, self._title()
        wait_s = doubled_s(self._retry.base_s, self._failure_count - 1, self._retry.wait_s_max)
        self._again_at_s[part] = max(now_s + wait_s, hosts.not_before_s(transfer.options))
        return True, None

    def advance(self, now_s: float) -> None:
        """Repeat what is due."""
        for part, at_s in list(self._again_at_s.items()):
            if now_s >= at_s - TIME_S_TOLERANCE:
                del self._again_at_s[part]
                self._send(part, now_s)

    def due_s(self) -> float | None:
        return min(self._again_at_s.values(), default=None)

    def _title(self) -> Title | None:
        presentation = self._loader.presentation
        return None if presentation is None else Title(presentation)

    def _send(self, part: Part, now_s: float) -> None:
        transfer = self._requests.send_text(
            part.kind, part.url, self._client_data.of_manifest(), now_s, part.byte_range
        )
        self._parts[transfer.request_id] = part
