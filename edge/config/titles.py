"""The section [titles]: what viewers may take up next."""

from __future__ import annotations

from edge.config.ranges import Count
from nearcast.config import Section


class TitlesConfig(Section, frozen=True, kw_only=True):
    """Which titles a viewer may take up next: for prefetching their beginnings, and home rows."""

    model: str = ""
    """The folder of a model of `nearcast train recommend`; empty: no titles are foreseen."""
    home_rows: bool = False
    """Whether clients are told what they may like: `GET /.nearcast/titles`."""
    answers: Count = 20
    """How many titles the model is asked for."""
    heads_max: Count = 32
    """Titles whose beginnings are offered to be prefetched at a time."""
    pending_max: Count = 256
    """Questions not answered yet; what comes on top is not asked."""
