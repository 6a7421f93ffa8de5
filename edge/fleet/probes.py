"""Looking at other edges: who is due, and what the origin should hear of it.

A target that fails twice in a row is down as far as we can see: that is told at once, again every
REPEAT_S while it lasts (an origin may have been restarted), and when it is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from edge.fleet.events import Probe
from nearcast.fleet import Observation, Target

FAILURES: Final = 2
REPEAT_S: Final = 5.0
TIMEOUT_S: Final = 0.8


class _Looked:
    """What is known of one target."""

    __slots__ = (
        "due_s",
        "failure_count",
        "is_told_down",
        "is_under_way",
        "rtt_ms",
        "told_s",
        "url",
    )

    def __init__(self, url: str, due_s: float) -> None:
        self.url = url
        self.due_s = due_s
        self.is_under_way = False
        self.failure_count = 0
        self.rtt_ms: float | None = None
        self.is_told_down = False
        self.told_s = float("-inf")


class Probes:
    """The targets of one edge."""

    def __init__(self, *, probe_s_min: float, probes_max: int, jitter: np.random.Generator) -> None:
        self._probe_s_min = probe_s_min
        self._probes_max = probes_max
        self._jitter = jitter
        self._probe_s = 1.0
        self._targets: dict[str, _Looked] = {}
        self._news: dict[str, Observation] = {}

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def down(self) -> tuple[str, ...]:
        """Those that fail."""
        return tuple(edge for edge, one in self._targets.items() if one.failure_count >= FAILURES)

    def aim(self, targets: Sequence[Target], probe_s: float, now_s: float) -> None:
        """Look at these from now on."""
        self._probe_s = max(probe_s, self._probe_s_min)
        wanted = {one.edge: one.url for one in targets[: self._probes_max]}
        for edge in [edge for edge in self._targets if self._targets[edge].url != wanted.get(edge)]:
            del self._targets[edge]
            self._news.pop(edge, None)
        for edge, url in wanted.items():
            if edge not in self._targets:
                # Not all of them at the same moment.
                due_s = now_s + self._probe_s * float(self._jitter.uniform())
                self._targets[edge] = _Looked(url, due_s)

    def take_due(self, now_s: float) -> list[Probe]:
        """Who is to be looked at now."""
        due = []
        for edge, one in self._targets.items():
            if one.due_s <= now_s and not one.is_under_way:
                one.is_under_way = True
                one.due_s = now_s + self._probe_s
                due.append(Probe(edge=edge, url=one.url, timeout_s=TIMEOUT_S))
        return due

    def seen(self, edge: str, is_up: bool, rtt_ms: float | None, now_s: float) -> None:
        """What came of a look."""
        one = self._targets.get(edge)
        if one is None:
            return
        one.is_under_way = False
        one.rtt_ms = rtt_ms
        if is_up:
            one.failure_count = 0
            if one.is_told_down:
                one.is_told_down = False
                self._tell(edge, one, now_s)
            return
        one.failure_count += 1
        if one.failure_count >= FAILURES and now_s - one.told_s >= (
            REPEAT_S if one.is_told_down else 0.0
        ):
            one.is_told_down = True
            self._tell(edge, one, now_s)

    def take_news(self, now_s: float) -> tuple[Observation, ...]:
        """What the origin should hear, and how long ago it was seen."""
        news, self._news = self._news, {}
        return tuple(
            msgspec.structs.replace(one, age_s=max(0.0, now_s - self._targets[edge].told_s))
            for edge, one in news.items()
        )

    def untold(self, seen: Sequence[Observation]) -> None:
        """The origin has not heard it: again with the next."""
        for one in seen:
            if one.edge in self._targets:
                self._news.setdefault(one.edge, one)

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    def deadline_s(self) -> float | None:
        return min(
            (one.due_s for one in self._targets.values() if not one.is_under_way), default=None
        )

    def _tell(self, edge: str, one: _Looked, now_s: float) -> None:
        one.told_s = now_s
        self._news[edge] = Observation(
            edge=edge,
            is_up=one.failure_count < FAILURES,
            failure_count=one.failure_count,
            rtt_ms=one.rtt_ms,
        )
