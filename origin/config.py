"""The origin's settings (see nearcast.config for the layers they come from)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from nearcast.config import Section
from origin.library import FreshnessConfig


class LimitsConfig(Section, frozen=True):
    """What one client may ask for. `header_bytes` bounds a request line and each field."""

    header_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1_000_000)] = 8192
    idle_s: Annotated[float, msgspec.Meta(gt=0)] = 75.0
    # A client that reads this slowly holds a file open and a task; then its connection is closed.
    send_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class OriginConfig(Section, frozen=True):
    """Settings of `nearcast origin serve`.

    `poll_s`: how often to look for titles that an ingest has added. `drain_s`: how long answers
    under way may take after SIGTERM.
    """

    library: str = "library"
    listen: str = "127.0.0.1:8080"
    poll_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    drain_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    freshness: FreshnessConfig = FreshnessConfig()
    limits: LimitsConfig = LimitsConfig()
