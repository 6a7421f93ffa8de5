"""With transfers that take their time: who goes on within a minute, and finds it warm?

A title is two objects, its head (what an edge fetches first) and its rest. A viewer finds it warm
when the head is there at the start and every later byte before it is shown. Four ways to decide:

    none           no prefetching
    at the end     the whole title, once the edge sees that the viewer has left
    half-way       the whole title, once half of this one is watched
    ours           the head from half-way on, the rest from 75 %, where the probability pays
                   (`gate`; heads by `edge.prefetch.value` for a start-up); dropped from the queue
                   when the viewer has left and it no longer does

The first three keep what was used last, ours what is expected to be asked for soonest.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from edge.config import PrefetchConfig
from edge.prefetch.value import worth
from nearcast.horizons import within
from predictor.features import FINISHED_PROGRESS
from simulation.prefetch.backhaul import HEAD, LATER, SOON, Backhaul, Transfer
from simulation.prefetch.gate import Gate
from simulation.prefetch.kept import Kept
from simulation.prefetch.moments import CHECKPOINT, LEFT, START, Moments
from simulation.prefetch.recent import Recent
from simulation.prefetch.requests import Requests

Way = Literal["none", "at the end", "half-way", "ours"]
WAYS: Final[tuple[Way, ...]] = ("none", "at the end", "half-way", "ours")
SOON_S: Final = 60.0
INSTANT_S: Final = 66 * 86_400.0
"""So long transfers take no time: the cache fills, and viewers and titles become known."""
WARMUP_S: Final = 73 * 86_400.0
"""A fifth of a year is not counted, as in the table; its last week is on the link already."""
LENGTH_S: Final = 94 * 86_400.0
"""Of the log, warm-up included: three weeks tell what a year does, and take less time."""
SOON_FROM: Final = 0.5
"""Less likely to go on within half an hour than this, and the rest can wait for the night."""
_PARTS: Final = 2  # of a title: object 2 * title is its head, 2 * title + 1 the rest


class _Watching:
    """A play that goes on while its bytes come."""

    def __init__(
        self, play: int, start_s: float, ahead_s: float, *, is_counted: bool, is_follower: bool
    ) -> None:
        self.play = play
        self.start_s = start_s
        self.ahead_s = ahead_s
        self.is_counted = is_counted
        self.is_follower = is_follower
        self.has_head = ahead_s > 0.0
        self.is_late = False
        self.is_stalled = False


class Timing:
    """One run."""

    def __init__(
        self,
        requests: Requests,
        moments: Moments,
        way: Way,
        *,
        gate: Gate,
        share: float,
        link: float,
        is_adaptive: bool = True,
    ) -> None:
        """`share`: capacity, of all bytes that are asked for; `link`: bytes/s; `is_adaptive`:
        players go down in rate rather than wait (simulation.prefetch.backhaul)."""
        self._requests, self._moments, self._way = requests, moments, way
        self._config = PrefetchConfig()
        capacity_bytes = max(int(requests.asked_bytes * share), 1)
        self._kept = Kept(capacity_bytes, parts=_PARTS)
        self._recent = Recent(capacity_bytes)
        self._store = self._kept if way == "ours" else self._recent
        log = requests.log
        runtime_s = np.ones(len(requests.sizes_bytes))
        runtime_s[log.title] = log.runtime_s
        goes_on = requests.successor >= len(log.titles)  # nobody plays these
        runtime_s[requests.successor[goes_on]] = log.runtime_s[goes_on]
        self._rate: list[float] = (requests.sizes_bytes / runtime_s).tolist()
        self._head_s: list[float] = np.minimum(runtime_s, self._config.head_s).tolist()
        self._sizes: list[int] = requests.sizes_bytes.tolist()
        self._link = Backhaul(link, is_adaptive=is_adaptive)
        self._watching: dict[int, list[_Watching]] = {}  # by the transfer that they wait for
        self._at_play: dict[int, _Watching] = {}
        self._wanted_by: dict[int, set[int]] = {}  # transfer -> viewers it was queued for
        self._head_least = worth(self._config, 0.0, "start").threshold
        completion = log.watched_s / log.runtime_s
        chance, least = gate.chances(moments, completion)
        self._pays = chance >= least
        self._is_finished = completion >= FINISHED_PROGRESS
        self.follower_count = self.warm_count = self.head_count = 0
        self.play_count = self.late_count = 0
        self.watched_bytes = self._carried_before = 0.0
        self._demand_before = 0.0, 0.0

    def run(self) -> None:
        requests, log = self._requests, self._requests.log
        begin_s = float(log.start_s.min())
        moments = self._moments
        count = int(np.searchsorted(moments.at_s, begin_s + LENGTH_S))
        length_s = min(LENGTH_S, float(log.start_s.max()) - begin_s)
        counted_from_s = begin_s + length_s * (WARMUP_S / LENGTH_S)
        timed_from_s = begin_s + length_s * (INSTANT_S / LENGTH_S)
        is_follower = self._followers()
        is_counting = False
        hopes = self._kept.hopes
        self._is_instant = True
        for at_s, ends_s, kind, play, share, answers, pays in zip(
            moments.at_s[:count].tolist(),
            moments.ends_s[:count].tolist(),
            moments.kind[:count].tolist(),
            moments.play[:count].tolist(),
            moments.share[:count].tolist(),
            moments.probabilities[:count].tolist(),
            self._pays[:count].tolist(),
            strict=True,
        ):
            if not is_counting and at_s >= counted_from_s:
                is_counting = True
                link = self._link
                self._carried_before = link.carried_bytes
                self._demand_before = link.demand_bytes, link.wanted_bytes
            self._is_instant = at_s < timed_from_s
            for transfer in self._link.run(at_s):
                self._arrived(transfer)
            if kind == START:
                self._start(play, at_s, is_counting, bool(is_follower[play]))
                hopes.asked(int(log.title[play]), int(log.viewer[play]), ends_s, at_s)
                continue
            if kind != CHECKPOINT:
                self._left(play, float(requests.leaves_s[play]))
                hopes.left(
                    int(log.title[play]),
                    int(log.viewer[play]),
                    at_s,
                    is_finished=bool(self._is_finished[play]),
                )
            if requests.successor[play] >= 0:
                title, viewer = int(requests.successor[play]), int(log.viewer[play])
                hopes.foretold(title, viewer, ends_s, answers, at_s)
                self._decide(kind, title, viewer, share, answers, pays)

    @property
    def moved_ratio(self) -> float:
        return (self._link.carried_bytes - self._carried_before) / max(self.watched_bytes, 1.0)

    @property
    def rate_ratio(self) -> float:
        """Of the rate that viewers would have had, what the link let players fetch."""
        demand_bytes, wanted_bytes = self._demand_before
        return (self._link.demand_bytes - demand_bytes) / max(
            self._link.wanted_bytes - wanted_bytes, 1.0
        )

    # -- plays

    def _start(self, play: int, at_s: float, is_counted: bool, is_follower: bool) -> None:
        log = self._requests.log
        title = int(log.title[play])
        head, rest = _PARTS * title, _PARTS * title + 1
        has_head = self._store.touch(head)
        watching = _Watching(
            play,
            at_s,
            self._head_s[title] if has_head else 0.0,
            is_counted=is_counted,
            is_follower=is_follower and is_counted,
        )
        if is_counted:
            self.play_count += 1
            self.watched_bytes += min(
                float(log.watched_s[play]) * self._rate[title], self._sizes[title]
            )
            if is_follower:
                self.follower_count += 1
                self.head_count += has_head
        self._at_play[play] = watching
        if not has_head:
            watching.is_late = True  # its start waits
            self._ask(head)
        if not self._store.touch(rest):
            self._ask(rest)
            if self._is_instant:
                return
            self._watching.setdefault(rest, []).append(watching)

    def _left(self, play: int, leaves_s: float) -> None:
        """The play is over, for whoever had to be counted: was it warm?"""
        watching = self._at_play.pop(play, None)
        if watching is None:
            return
        title = int(self._requests.log.title[play])
        waiting = self._watching.get(_PARTS * title + 1, [])
        if watching in waiting:
            self._check(watching, _PARTS * title + 1, leaves_s)
            waiting.remove(watching)
            if not waiting:
                del self._watching[_PARTS * title + 1]
                self._link.cancel(_PARTS * title + 1)
        self.late_count += watching.is_counted and watching.is_stalled
        self.warm_count += watching.is_follower and not watching.is_late

    def _check(self, watching: _Watching, name: int, now_s: float) -> None:
        """Whether what was to be shown by now has come."""
        transfer = self._link.find(name)
        if transfer is None:
            return
        shown_s = min(now_s - watching.start_s, float(self._requests.log.watched_s[watching.play]))
        if (shown_s - watching.ahead_s) * self._rate[name // _PARTS] > transfer.got_bytes + 1.0:
            watching.is_late = watching.is_stalled = True

    def _arrived(self, transfer: Transfer) -> None:
        name = transfer.name
        for watching in self._watching.pop(name, ()):
            shown_s = self._link.now_s - watching.start_s - watching.ahead_s
            if shown_s * self._rate[name // _PARTS] > transfer.got_bytes + 1.0:
                watching.is_late = watching.is_stalled = True
        size_bytes = self._size(name)
        is_prefetch = name in self._wanted_by
        self._wanted_by.pop(name, None)
        self._store.add(name, size_bytes, self._link.now_s, is_prefetch=is_prefetch)

    def _ask(self, name: int) -> None:
        if self._is_instant:
            self._store.add(name, self._size(name), self._link.now_s)
            return
        coming = self._link.find(name)
        self._wanted_by.pop(name, None)
        self._link.ask(coming or self._transfer(name))

    # -- what comes next

    def _decide(
        self,
        kind: int,
        title: int,
        viewer: int,
        share: float,
        answers: list[float],
        pays: bool,
    ) -> None:
        head, rest = _PARTS * title, _PARTS * title + 1
        if self._way == "none":
            return
        if self._way == "at the end":
            is_head = is_rest = kind == LEFT and share >= self._config.head_at
        elif self._way == "half-way":
            is_head = is_rest = kind == CHECKPOINT and share == self._config.head_at
        else:
            is_rest = pays and share >= self._config.rest_at
            is_head = is_rest or (
                share >= self._config.head_at
                and within(answers, self._config.lifetime_s) >= self._head_least
            )
            if is_rest:
                self._link.move(rest, LATER if kind == LEFT or answers[0] < SOON_FROM else SOON)
            elif kind == LEFT:
                self._forget(rest, viewer)
            if kind == LEFT and not is_head:
                self._forget(head, viewer)
        for name, is_wanted in ((head, is_head), (rest, is_rest)):
            if is_wanted:
                is_first = name == head and self._way == "ours"
                is_later = self._way == "ours" and (kind == LEFT or answers[0] < SOON_FROM)
                rank = HEAD if is_first else LATER if is_later else SOON
                self._prefetch(name, viewer, rank)

    def _prefetch(self, name: int, viewer: int, rank: int) -> None:
        if name in self._store:
            self._recent.touch(name)  # the rule counts it as a use; expectations need not
        elif self._is_instant:
            self._store.add(name, self._size(name), self._link.now_s, is_prefetch=True)
        elif self._link.find(name) is None:
            self._wanted_by[name] = {viewer}
            self._link.prefetch(self._transfer(name, rank))
        elif name in self._wanted_by:
            self._wanted_by[name].add(viewer)

    def _forget(self, name: int, viewer: int) -> None:
        """This viewer does not need it any more; if nobody else does, it is not fetched."""
        wanted_by = self._wanted_by.get(name)
        if wanted_by is None:
            return
        wanted_by.discard(viewer)
        if not wanted_by:
            del self._wanted_by[name]
            self._link.cancel(name)

    def _transfer(self, name: int, rank: int = SOON) -> Transfer:
        return Transfer(name, self._size(name), self._rate[name // _PARTS], rank)

    def _size(self, name: int) -> int:
        title = name // _PARTS
        head_bytes: int = min(int(self._head_s[title] * self._rate[title]), self._sizes[title])
        part_bytes = head_bytes if name % _PARTS == 0 else self._sizes[title] - head_bytes
        return max(part_bytes, 1)

    def _followers(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(play,) Starts of what follows their viewer's play before, within a minute of its end."""
        requests, log = self._requests, self._requests.log
        order = np.lexsort((log.start_s, log.viewer))
        before, after = order[:-1], order[1:]
        gap_s = log.start_s[after] - requests.leaves_s[before]
        follows = (
            (log.viewer[before] == log.viewer[after])
            & (requests.successor[before] == log.title[after])
            & (gap_s <= SOON_S)
        )
        found = np.zeros(len(log), dtype=np.bool_)
        found[after[follows]] = True
        return found
