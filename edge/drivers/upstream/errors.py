"""How a fetch fails, before the core hears of it."""

from __future__ import annotations

from edge.events import FailureCause
from nearcast.errors import NearcastError


class UpstreamError(NearcastError):
    """A fetch failed; `cause` as in FillFailed."""

    def __init__(self, cause: FailureCause, detail: str) -> None:
        super().__init__(detail)
        self.cause: FailureCause = cause
        self.detail = detail
