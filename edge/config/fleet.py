"""The section [fleet]: taking part in a fleet that an origin coordinates."""

from __future__ import annotations

from typing import Literal

from edge.config.ranges import Count, Positive, Share
from nearcast.config import Section


class FleetConfig(Section, frozen=True, kw_only=True):
    """After `nearcast edge enrol` an edge takes part by itself."""

    enabled: Literal["auto", "on", "off"] = "auto"
    """auto: where the edge has enrolled; on: not to start otherwise."""
    folder: str | None = None
    """What enrolling left; None: `fleet` in the store."""
    service: str = ""
    """Whose titles are placed, where there are several services; empty: the first."""
    probe_s_min: Positive = 0.5
    """However often the origin wants other edges looked at."""
    probes_max: Count = 16
    """Other edges looked at."""
    pinned_share_max: Share = 0.97
    """Of the store, whatever a plan says."""
    in_flight_max: Count = 2
    """Planned objects fetched at a time."""
    peer_fill: bool = True
    """Ask the edges that a plan names before the origin."""
    peer_ca_file: str | None = None
    """Who vouches for other edges that are reached by https; None: those the system trusts."""
