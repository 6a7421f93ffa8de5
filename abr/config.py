"""Settings of the player."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from abr.controllers import ControllerSettings
from nearcast.config import Section

Seconds = Annotated[float, msgspec.Meta(ge=0)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]
CmcdMode = Literal["query", "headers", "off"]


class RetryConfig(Section, frozen=True, kw_only=True):
    """Failed requests are repeated after base_s, then twice that, and so on up to wait_s_max; given
    up after count_max failures in a row, but never while playback still has data.

    A rung that failed twice in a row, or is missing (HTTP 4xx), is avoided for avoid_s.
    """

    base_s: PositiveSeconds = 0.5
    wait_s_max: PositiveSeconds = 4.0
    count_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 4
    manifest_count_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 2
    avoid_s: Seconds = 30.0


class AbandonConfig(Section, frozen=True, kw_only=True):
    """A running segment that would come after the buffer is empty is fetched again at a lower rung,
    at most count_max times a segment, and not before grace_s."""

    is_on: bool = True
    grace_s: Seconds = 0.5
    count_max: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2


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
    cmcd: CmcdMode = "query"
    """How live requests carry CMCD; used by the driver."""
    retry: RetryConfig = RetryConfig()
    abandon: AbandonConfig = AbandonConfig()
