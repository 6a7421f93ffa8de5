"""What an edge tells the origin of what it served."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.config.ranges import Count, Positive
from nearcast.config import Section
from nearcast.nats_login import check_nats_url


class TelemetryConfig(Section, frozen=True, kw_only=True):
    """Events are written to the disk first and sent from there. They name no viewer."""

    enabled: bool = True
    """Only in a fleet: a node on its own tells nobody."""
    url: str = ""
    """`nats://host:port`: events go to NATS JetStream; empty: to the origin, with all the rest."""
    credentials_file: str = ""
    """For NATS: holds USER:PASSWORD, a token, or NATS credentials."""
    flush_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    """How often what viewers took is added up and told, and how often what was written is sent."""
    spool_bytes_max: Annotated[int, msgspec.Meta(ge=2_000_000)] = 200_000_000
    """Disk for events that the origin has not taken yet; the oldest make room and are counted."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=10_000, le=100_000_000)] = 1_000_000
    segment_s: Positive = 3600.0
    """A segment is closed at this size or age."""
    ship_kbps: Positive = 8_000.0
    """How fast it catches up after the origin was away."""
    rows_max: Count = 20_000
    """Renditions added up at a time; with more of them sums are told sooner."""

    def __post_init__(self) -> None:
        if self.spool_bytes_max < 2 * self.segment_bytes:
            raise ValueError(
                "telemetry.spool_bytes_max must have room for two segments of "
                f"{self.segment_bytes} bytes (telemetry.segment_bytes)"
            )
        check_nats_url(self.url, "telemetry.url")
