"""How well each upstream is, and what may be asked of it while it is not.

Three things keep a failing origin from being asked to death, and clients from waiting for it:

    retry       a fetch that failed before its head (no connection, or one that was closed under
                it) is tried once more, if there is budget: each fetch earns `retry_budget_share` of
                a retry, so that retries never add more than that share to the load. A kept
                connection that upstream had closed already is the driver's to replace
    memory of   a URL that upstream answered with 500, 502, 503 or 504 is not asked for again for
    errors      `error_ttl_s`; whoever wants it meanwhile gets the same status at once. It is kept
                per URL and forwarded fields, so that no one client's odd request can be made
                everybody's error, and it never lasts longer than the time it was learnt for
    breaker     per upstream:

        closed --(`breaker_failures` in a row)--> open --(`breaker_open_s`)--> half open
          ^                                         ^                              |
          |                                         +---(it fails: twice as long)--+
          +--------------------(its one probe is answered)-------------------------+

                While it is open every miss is answered at once, stale or 503 with Retry-After;
                so is what else would be passed through, but for writes. Half open, the next miss is
                the probe; equal misses wait with it, others are still answered at once.

A failure in a row is a fetch without an answer, or one answered 502, 503 or 504. A 500 is one
page's own fault: it neither counts nor clears. A body that is cut off does not count: its head had
come.

Sources: Nygard, "Release It!" (2007), for the breaker; Google, "Site Reliability Engineering"
(2016), chapter 22, for the retry budget. Differs from the former in that joining the probe is
allowed, since equal misses cost upstream nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from cache.http.headers import Headers
from edge.config import HttpConfig
from edge.status import Counters

ERRORS: Final = frozenset({500, 502, 503, 504})
"""What stale-if-error covers (RFC 5861, 4)."""
_FAILURES: Final = frozenset({502, 503, 504})
RETRIES_SAVED_MAX: Final = 10.0
"""What quiet hours earn is not to be spent in one minute."""
ERRORS_MAX: Final = 10_000
"""Bounds the memory; an error pushed out early costs upstream one request."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why upstream is not asked: what to tell the client, and when it may try again."""

    status: int
    detail: str
    retry_after_s: int


class _Upstream:
    """The facts about one."""

    __slots__ = ("failures_in_a_row", "open_s", "open_until_s", "probe_id", "retries_saved")

    def __init__(self, open_s: float) -> None:
        self.failures_in_a_row = 0
        self.retries_saved = 0.0
        self.open_s = open_s
        self.open_until_s: float | None = None  # None: closed
        self.probe_id: int | None = None


class Upstreams:
    """Told of every fetch; asked before each."""

    def __init__(self, config: HttpConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._upstreams: dict[str, _Upstream] = {}  # as many as are configured
        self._last: tuple[str, _Upstream | None] = ("", None)
        self._errors: OrderedDict[tuple[str, Headers], tuple[float, int]] = OrderedDict()

    @property
    def troubled_count(self) -> int:
        """Upstreams whose breaker is not closed."""
        return sum(one.open_until_s is not None for one in self._upstreams.values())

    def reconfigure(self, config: HttpConfig) -> None:
        self._config = config

    def are_failing(self, names: Iterable[str], now_s: float) -> bool:
        """Whether none of these upstreams (scheme and authority) may be asked at this moment."""
        known = [self._upstreams.get(name) for name in names]
        return all(
            one is not None and one.open_until_s is not None and now_s < one.open_until_s
            for one in known
        )

    # -- before a fetch

    def is_well(self, url: str) -> bool:
        """Whether the breaker of this URL's upstream is closed: fit for what nobody waits for."""
        return self._of(url).open_until_s is None

    def trouble(self, url: str, headers: Headers, now_s: float) -> Trouble | None:
        """Why not to fetch this now; None to go ahead. `headers` as they would be sent."""
        resting = self.rest(url, now_s)
        if resting is not None:
            return resting
        if self._of(url).probe_id is not None:
            return _trouble(503, "upstream is being tried", 1.0)
        if self._errors:
            until_s, status = self._errors.get((url, headers), (0.0, 0))
            if now_s < until_s:
                return _trouble(status, f"upstream answered {status} just now", until_s - now_s)
        return None

    def rest(self, url: str, now_s: float) -> Trouble | None:
        """While its breaker is open."""
        until_s = self._of(url).open_until_s
        if until_s is None or now_s >= until_s:
            return None
        return _trouble(503, "upstream is failing", until_s - now_s)

    def started(self, fill_id: int, url: str) -> None:
        """A fetch has begun; half open, it is the probe."""
        one = self._of(url)
        one.retries_saved = min(
            one.retries_saved + self._config.retry_budget_share, RETRIES_SAVED_MAX
        )
        if one.open_until_s is not None and one.probe_id is None:
            one.probe_id = fill_id

    def take_retry(self, url: str) -> bool:
        """Whether a fetch that failed may be tried again; if so it is paid for."""
        one = self._of(url)
        # Ten times a tenth is a little less than one.
        if one.open_until_s is not None or one.retries_saved < 1.0 - 1e-9:
            return False
        one.retries_saved = max(one.retries_saved - 1.0, 0.0)
        self._counters.upstream_retries += 1
        return True

    # -- what came of it

    def answered(self, fill_id: int, url: str, headers: Headers, status: int, now_s: float) -> None:
        """The head is here."""
        if status in ERRORS and self._config.error_ttl_s > 0:
            self._errors.pop((url, headers), None)
            self._errors[url, headers] = (now_s + self._config.error_ttl_s, status)
            if len(self._errors) > ERRORS_MAX:
                self._errors.popitem(last=False)
        elif self._errors:
            self._errors.pop((url, headers), None)
        one = self._of(url)
        if status in _FAILURES:
            self._count_failure(one, fill_id, now_s)
        elif status not in ERRORS or fill_id == one.probe_id:
            one.failures_in_a_row = 0
            one.open_until_s = one.probe_id = None
            one.open_s = self._config.breaker_open_s

    def failed(self, fill_id: int, url: str, now_s: float) -> None:
        """There was no head, and it is not tried again."""
        self._count_failure(self._of(url), fill_id, now_s)

    def ended(self, fill_id: int, url: str) -> None:
        """The fetch is over, however. A probe of which nothing became lets another be tried."""
        one = self._of(url)
        if one.probe_id == fill_id:
            one.probe_id = None

    def _count_failure(self, one: _Upstream, fill_id: int, now_s: float) -> None:
        one.failures_in_a_row += 1
        if one.open_until_s is not None:
            if fill_id != one.probe_id:
                return  # begun before it opened
            one.open_s = min(one.open_s * 2, self._config.breaker_open_s_max)
        elif not 0 < self._config.breaker_failures <= one.failures_in_a_row:
            return
        one.probe_id = None
        one.open_until_s = now_s + one.open_s
        self._counters.breaker_openings += 1

    def _of(self, url: str) -> _Upstream:
        last_url, last = self._last  # a fetch is asked about several times in a row
        if last is not None and url == last_url:
            return last
        name = _upstream_of(url)
        one = self._upstreams.get(name)
        if one is None:
            one = self._upstreams[name] = _Upstream(self._config.breaker_open_s)
        self._last = (url, one)
        return one


def _upstream_of(url: str) -> str:
    """Scheme and authority: two paths of one origin fail together."""
    start = url.find("://") + 3
    end = url.find("/", start)
    return url if end < 0 else url[:end]


def _trouble(status: int, detail: str, wait_s: float) -> Trouble:
    return Trouble(status=status, detail=detail, retry_after_s=max(math.ceil(wait_s), 1))
