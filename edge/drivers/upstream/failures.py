"""What went wrong with each upstream, for its operator: clients are told no causes.

One line in the log for each upstream and cause, again after a while if it goes on. The words are
those of the system or of TLS, so that a closed port, a wrong certificate and a private address can
be told apart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from edge.events import FailureCause

logger = logging.getLogger(__name__)

AGAIN_S: Final = 60.0
CAUSES_MAX: Final = 8
"""Lines for one upstream in AGAIN_S: what it sends may be in their words."""
DETAIL_LENGTH_MAX: Final = 300


class UpstreamFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure of an upstream."""

    upstream: str
    cause: FailureCause
    detail: str
    count: int
    """Failures since the start."""
    ago_s: float


class Failures:
    """Told of every failure."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._last: dict[str, tuple[FailureCause, str, int, float]] = {}
        self._logged: dict[str, dict[str, float]] = {}

    def failed(self, upstream: str, cause: FailureCause, detail: str) -> None:
        now_s = self._now_s()
        words = detail[:DETAIL_LENGTH_MAX].encode("unicode_escape").decode("ascii")
        count = self._last[upstream][2] + 1 if upstream in self._last else 1
        self._last[upstream] = (cause, words, count, now_s)
        logged = self._logged.setdefault(upstream, {})
        for old in [text for text, at_s in logged.items() if now_s - at_s >= AGAIN_S]:
            del logged[old]
        if words not in logged and len(logged) < CAUSES_MAX:
            logged[words] = now_s
            logger.warning(
                "upstream.failed upstream=%s cause=%s count=%d detail=%s",
                upstream,
                cause,
                count,
                words,
            )

    def keep_only(self, upstreams: set[str]) -> None:
        """These are the upstreams now."""
        for known in (self._last, self._logged):
            for name in known.keys() - upstreams:
                del known[name]

    def figures(self) -> tuple[UpstreamFailure, ...]:
        """Of each upstream that ever failed."""
        now_s = self._now_s()
        return tuple(
            UpstreamFailure(
                upstream=name, cause=cause, detail=detail, count=count, ago_s=round(now_s - at_s, 1)
            )
            for name, (cause, detail, count, at_s) in sorted(self._last.items())
        )
