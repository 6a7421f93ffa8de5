"""Which host a URL is fetched from, where several have the same bytes.

Alternatives come from manifests (several BaseURLs, redundant variant streams), from the settings
(`fallback_hosts`) and from a steering server, which also says in which order they are wanted
(abr.places); among those that are well, that order counts. How they are is kept here. A host that
cannot be reached, breaks off or is overloaded is left alone for a while that doubles with each
failure in a row; then it is on probation: an ordinary request goes there when there is enough in
the buffer to lose some time, and if that comes through, the host is preferred as before. An answer
of no use (HTTP 404, 500, an error page) tells of one object at first: that one is fetched
elsewhere, and only when it is found there the host is known to be at fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from abr.config import RetryConfig
from abr.events import ResponseFailed
from abr.places import Places
from nearcast.backoff import doubled_s
from nearcast.manifests import origin_of
from nearcast.media import Base
from nearcast.steering import PathwayClone

Origin = tuple[str, str, int | None]

ORIGIN_COUNT_MAX = 64
MARK_COUNT_MAX = 256
"""Objects remembered as not to be had at one place."""
LACKING_BORNE = 1
"""So many objects in a row that only others have are forgiven: publishing takes its time."""
OVERLOADED = (429, 503)
NOT_FOUND = (404, 410)

Fitness = Literal[0, 1, 2, 3]
"""0 as good as any; 1 on probation; 2 left alone; 3 known not to have this object."""


class _Health:
    """What is known of one host."""

    def __init__(self) -> None:
        self.failure_count = 0
        """In a row."""
        self.lacking_count = 0
        """Objects in a row that it did not have and others did."""
        self.blocked_until_s = -math.inf
        self.not_before_s = -math.inf
        """As it asked for (Retry-After)."""


class HostHealth:
    """All hosts, for as long as the viewer watches. `generator` spreads the retries of many players
    over time and their load over hosts; without one every wait is exact."""

    def __init__(self, retry: RetryConfig, generator: np.random.Generator | None = None) -> None:
        self._retry = retry
        self._generator = generator
        self._hosts: dict[Origin, _Health] = {}
        self._draws: dict[Origin, float] = {}

    def spread(self, wait_s: float) -> float:
        """`wait_s`, somewhat more or less."""
        if self._generator is None:
            return wait_s
        return wait_s * (1.0 + self._retry.jitter * (2.0 * float(self._generator.random()) - 1.0))

    def rank(self, origin: Origin, weight: float) -> float:
        """Ascending gives an order in which each comes first as often as its weight says; one that
        stays the same for a host."""
        if self._generator is None:
            return -weight
        draw = self._draws.get(origin)
        if draw is None:
            draw = float(self._generator.standard_exponential())
            if len(self._draws) < ORIGIN_COUNT_MAX:
                self._draws[origin] = draw
        return draw / max(weight, 1e-9)

    def failed(self, origin: Origin, now_s: float, retry_after_s: float | None = None) -> None:
        """It is at fault."""
        if origin not in self._hosts and len(self._hosts) >= ORIGIN_COUNT_MAX:
            self._hosts.pop(next(iter(self._hosts)))
        health = self._hosts.setdefault(origin, _Health())
        health.failure_count += 1
        retry = self._retry
        wait_s = self.spread(
            doubled_s(retry.host_base_s, health.failure_count - 1, retry.host_wait_s_max)
        )
        if retry_after_s is not None:
            health.not_before_s = now_s + min(retry_after_s, self._retry.retry_after_s_max)
        health.blocked_until_s = max(now_s + wait_s, health.not_before_s)

    def lacked(self, origin: Origin, now_s: float) -> None:
        """It did not have what another one has."""
        health = self._hosts.setdefault(origin, _Health())
        health.lacking_count += 1
        if health.lacking_count > LACKING_BORNE:
            self.failed(origin, now_s)

    def succeeded(self, origin: Origin) -> None:
        self._hosts.pop(origin, None)

    def fitness(self, origin: Origin, now_s: float) -> Fitness:
        health = self._hosts.get(origin)
        if health is None or health.failure_count == 0:
            return 0
        return 2 if now_s < health.blocked_until_s else 1

    def blocked_until_s(self, origin: Origin) -> float:
        health = self._hosts.get(origin)
        return -math.inf if health is None else health.blocked_until_s

    def not_before_s(self, origin: Origin) -> float:
        health = self._hosts.get(origin)
        return -math.inf if health is None else health.not_before_s


class _Mark(msgspec.Struct, frozen=True):
    """One object that one place did not deliver."""

    at_s: float
    until_s: float
    is_missing: bool


class Hosts:
    """The hosts of one title."""

    def __init__(self, url: str, retry: RetryConfig, fallback: Iterable[str], health: HostHealth):
        self._retry = retry
        self._health = health
        self._places = Places(url, fallback, self._rank)
        self._marks: dict[str, _Mark] = {}

    @property
    def alike(self) -> tuple[str, ...]:
        """`host:port` of those that have the same paths as the manifest's."""
        return self._places.alike

    def spread(self, wait_s: float) -> float:
        """`wait_s`, somewhat more or less."""
        return self._health.spread(wait_s)

    def found_at(self, url: str) -> None:
        """The manifest is here: what it refers to is at the fallback hosts as well."""
        self._places.found_at(url)

    def learn(self, groups: Iterable[Sequence[Base]]) -> None:
        """Each group is bases under which the same bytes are."""
        self._places.learn(groups)

    def steer(
        self, pathways: Sequence[str], clones: Sequence[PathwayClone], *, has_deep_params: bool
    ) -> None:
        """The order in which a steering server wants pathways to be taken (abr.places)."""
        self._places.steer(pathways, clones, has_deep_params=has_deep_params)

    def _rank(self, base: Base) -> tuple[int, float]:
        return base.priority, self._health.rank(origin_of(base.url), base.weight)

    def options(self, url: str) -> tuple[str, ...]:
        """The places where `url` can be had, the preferred first; at least itself."""
        return self._places.options(url)

    def pathway_of(self, url: str) -> str:
        """The pathway that one of the options is of; empty where it has no name."""
        return self._places.pathway_of(url)

    def pick(self, options: Sequence[str], now_s: float, *, can_probe: bool) -> str:
        """The best of them now. `can_probe`: there is time to lose, so a preferred host on
        probation may show that it is well again."""
        if len(options) == 1:
            return options[0]

        def badness(index: int) -> tuple[int, float, int]:
            url = options[index]
            fitness = self._fitness(url, now_s)
            if fitness == 3:  # the one that failed longest ago
                return 3, self._marks[url].at_s, index
            if fitness == 2:
                return 2, self._health.blocked_until_s(origin_of(url)), index
            return (0 if fitness == 0 or can_probe else 1), 0.0, index

        return options[min(range(len(options)), key=badness)]

    def has_fresh(self, options: Sequence[str], now_s: float, *, but: str = "") -> bool:
        """One of them, not counting `but`, can be asked at once with some hope."""
        return any(self._fitness(url, now_s) <= 1 for url in options if url != but)

    def not_before_s(self, options: Sequence[str]) -> float:
        """Asked to wait until then, by all of them."""
        return min(self._health.not_before_s(origin_of(url)) for url in options)

    def failed(self, sent_url: str, failure: ResponseFailed, now_s: float) -> None:
        """A request to one of the places failed."""
        if is_of_host(failure):
            self._health.failed(origin_of(sent_url), now_s, failure.retry_after_s)
            return
        while len(self._marks) >= MARK_COUNT_MAX:
            self._marks.pop(next(iter(self._marks)))
        is_missing = failure.status in NOT_FOUND
        self._marks.pop(sent_url, None)
        self._marks[sent_url] = _Mark(now_s, now_s + self._retry.avoid_s, is_missing)

    def succeeded(self, sent_url: str, options: Sequence[str], now_s: float) -> None:
        """It came from here: those that failed with the same are at fault."""
        self._marks.pop(sent_url, None)
        self._health.succeeded(origin_of(sent_url))
        for url in options if self._marks else ():
            mark = self._marks.pop(url, None)
            if mark is None or origin_of(url) == origin_of(sent_url):
                continue
            if mark.is_missing:
                self._health.lacked(origin_of(url), now_s)
            else:
                self._health.failed(origin_of(url), now_s)

    def _fitness(self, url: str, now_s: float) -> Fitness:
        mark = self._marks.get(url)
        if mark is not None and now_s < mark.until_s:
            return 3
        return self._health.fitness(origin_of(url), now_s)


def is_of_host(failure: ResponseFailed) -> bool:
    """The host is in trouble, not one object on it."""
    if failure.status is not None:
        is_asked_to_wait = failure.status in OVERLOADED and failure.retry_after_s is not None
        return is_asked_to_wait or failure.status == OVERLOADED[0]
    return not failure.is_damage
