"""Settings of the player."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from abr.controllers import ControllerSettings
from nearcast.config import Section

Seconds = Annotated[float, msgspec.Meta(ge=0)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]
CmcdMode = Literal["query", "headers", "off"]


class RetryConfig(Section, frozen=True, kw_only=True):
    """What is done about failed requests: another host or rung at once, if there is one; else the
    same again after base_s, then twice that, and so on up to wait_s_max; given up after count_max
    such waits for one segment, but never while playback still has data.

    A rung that is missing (HTTP 4xx), or failed twice in a row, is avoided for avoid_s, and four
    times as long each time that this happens again.
    """

    base_s: PositiveSeconds = 0.5
    wait_s_max: PositiveSeconds = 4.0
    count_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 4
    manifest_count_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 2
    avoid_s: Seconds = 30.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.25
    """Waits differ by up to this share, so that players do not come back all at once."""
    host_base_s: PositiveSeconds = 2.0
    host_wait_s_max: PositiveSeconds = 60.0
    """A host that failed is left alone for host_base_s, then twice that, up to host_wait_s_max, as
    long as there is another."""
    failover_s: PositiveSeconds = 5.0
    """A request that brings nothing for so long is tried at another host, if there is one."""
    retry_after_s_max: Seconds = 30.0
    """A server that asks to be left alone (Retry-After) is, for this long at most."""
    skip_row_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    skip_count_max: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 10
    """So many segments that no rung and no host has are jumped over: in a row, and in all."""


class AbandonConfig(Section, frozen=True, kw_only=True):
    """A running segment is given up when the controller says so, not before grace_s; for a rung
    that the controller names at most count_max times a segment."""

    is_on: bool = True
    grace_s: Seconds = 0.5
    count_max: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2


class SteeringConfig(Section, frozen=True, kw_only=True):
    """Content steering, where a manifest speaks of it.

    A steering server names hosts that the manifest does not, so `allow_hosts` does not bind it,
    unless `hosts` is `allowed`; at most `host_count_max` of them are taken. Pathways in a manifest
    that the server itself gave are taken alike. It must answer within
    `timeout_s`; where the manifest wants it asked before the start, the start waits `wait_s` for
    it.
    """

    is_on: bool = True
    hosts: Literal["any", "allowed"] = "any"
    host_count_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    timeout_s: PositiveSeconds = 5.0
    wait_s: Seconds = 1.0


class NetworkMemoryConfig(Section, frozen=True, kw_only=True):
    """What may be remembered of networks from one run to the next: for each a level and a spread of
    the throughput, under a salted hash of the name given with --network. `file`: where; empty for
    nearcast/networks.json in the user's folder of states (XDG_STATE_HOME)."""

    is_on: bool = False
    file: str = ""


class PlayerConfig(Section, frozen=True, kw_only=True):
    """Everything that can be set about a player, simulated or live."""

    controller: str = "dynamic"
    controllers: ControllerSettings = ControllerSettings()
    startup_buffer_s: Seconds = 1.0
    """Playback starts when this much, and at least a segment of each track, is there."""
    rebuffer_s: Seconds = 2.0
    """Playback goes on after a stall when this much is there."""
    buffer_s_max: PositiveSeconds = 25.0
    start_rung: Literal["lowest", "highest"] = "lowest"
    """Of the very first title, when nothing was measured yet."""
    audio_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.15
    """Audio is chosen once a title: the best that takes no more than this of the throughput."""
    request_timeout_s: PositiveSeconds = 15.0
    """A request that brings nothing for so long has failed."""
    allow_hosts: tuple[str, ...] = ()
    """`host` or `host:port` that manifests may refer to besides their own; `*` allows any."""
    fallback_hosts: tuple[str, ...] = ()
    """`host:port` or `http://host:port` that have the same paths as the host of the manifest, and
    are asked when it fails, in this order."""
    cmcd: CmcdMode = "query"
    """How live requests carry CMCD; used by the driver."""
    cmcd_events_url: str = ""
    """Where failed requests are reported (CMCD version 2, event mode), for an origin's sake that
    watches over edges; empty: nowhere."""
    retry: RetryConfig = RetryConfig()
    abandon: AbandonConfig = AbandonConfig()
    steering: SteeringConfig = SteeringConfig()
    network_memory: NetworkMemoryConfig = NetworkMemoryConfig()

    def __post_init__(self) -> None:
        for text in self.fallback_hosts:
            check_host(text)
        if self.cmcd_events_url and not re.fullmatch(
            r"https?://[^\s/?#@]+(?:[/?][^\s#]*)?", self.cmcd_events_url
        ):
            raise ValueError(f"cmcd_events_url: {self.cmcd_events_url!r} is no http or https URL")


def check_host(text: str) -> None:
    """Raises ValueError unless it is a host, or an http(s) origin."""
    try:
        place = urlsplit(text if "://" in text else f"http://{text}")
        is_origin = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        is_origin = False
    is_bare = place.path in ("", "/") and not re.search(r"[\s@?#]", text)
    if not is_origin or not is_bare:
        raise ValueError(
            f"fallback_hosts: {text!r} is no host: write HOST, HOST:PORT or http://HOST:PORT"
        )
