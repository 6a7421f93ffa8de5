"""Purging: what an operator says is outdated is not served again as if it were fresh.

    hard    the objects are dropped
    soft    they are stale from now on: the next request asks upstream, and until upstream has
            answered they may stand in where stale-while-revalidate or stale-if-error allow it

What is being fetched meanwhile may hold the old content too. It goes to those who wait for it and
is not kept, and who asks after the purge does not join it. The tags of a fetch are known when its
head comes, so fetches without a head remember the tags purged under them.

A URL or a tag names its objects: the work is what there is to purge. A prefix is looked for in all
objects, as keeping them in order would cost every object memory for what operators do a few times a
day. Long work is done in slices, with everything else going on between them; the purge is done, and
answered, after the last. Objects stored after its begin are new and stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from edge.effects import Effect, PurgeDone
from edge.events import Purge
from edge.fill import Fill
from edge.hot import HotEntry
from edge.open_fills import OpenFills
from edge.records import Purged
from edge.residents import Residents
from edge.services import Services
from edge.status import Counters
from edge.tags import tags_of
from nearcast.machine import EffectQueue
from nearcast.record import Recorder

SLICE_LOOKS: Final = 1024
"""Objects looked at before others get their turn: below a millisecond, as are the next."""
SLICE_VISITS: Final = 32
"""Objects purged before others get their turn: each costs a dropped file or a write."""


class _Job:
    """Something to do with some objects, under way. `visit` says whether it did anything."""

    def __init__(
        self,
        object_ids: Iterable[str],
        visit: Callable[[HotEntry, float], bool],
        purge: Purge | None = None,
    ) -> None:
        self.object_ids = iter(object_ids)
        self.visit = visit
        self.purge = purge
        self.count = 0


class Purges:
    """The purges under way, one after the other."""

    def __init__(
        self,
        *,
        epoch_s: float,
        effects: EffectQueue[Effect],
        services: Services,
        residents: Residents,
        open_fills: OpenFills,
        counters: Counters,
        recorder: Recorder,
    ) -> None:
        self._epoch_s = epoch_s
        self._effects = effects
        self._services = services
        self._residents = residents
        self._open = open_fills
        self._counters = counters
        self._recorder = recorder
        self._jobs: deque[_Job] = deque()

    def begin(self, purge: Purge, now_s: float) -> None:
        """Purge, or begin to."""
        is_meant: Callable[[str], bool]
        object_ids: Iterable[str]
        match purge.kind:
            case "tag":
                self._spoil_tag(purge.value)
                is_meant = _everything
                object_ids = self._residents.tagged(purge.value)
            case "url":
                url = self._services.purge_url(purge.value)
                is_meant = _is_one_of(url)
                self._spoil(is_meant)
                object_ids = self._residents.ids_of(url) if url is not None else ()
            case "prefix":
                is_meant = _begins_with(self._services.purge_prefixes(purge.value))
                self._spoil(is_meant)
                object_ids = self._residents.ids()

        def visit(entry: HotEntry, now_s: float) -> bool:
            if not is_meant(entry.stored.url):
                return False
            if purge.is_soft:
                self._residents.outdate(entry, self._epoch_s + now_s)
            else:
                self._residents.purge(entry.stored.object_id, now_s)
            return True

        self._counters.purges += 1
        self._jobs.append(_Job(object_ids, visit, purge))
        self.advance(now_s)

    def sweep(self, now_s: float) -> None:
        """The settings are other ones: drop what belongs to no service any more, and judge anew
        how long the rest is fresh."""

        def is_nobodys(url: str) -> bool:
            return self._services.of_url(url) is None

        def visit(entry: HotEntry, now_s: float) -> bool:
            if is_nobodys(entry.stored.url):
                self._residents.purge(entry.stored.object_id, now_s)
            else:
                self._residents.renew(entry)
            return True

        self._spoil(is_nobodys)
        self._jobs.append(_Job(self._residents.ids(), visit))
        self.advance(now_s)

    def advance(self, now_s: float) -> None:
        """Do one slice of the work."""
        looks_left, visits_left = SLICE_LOOKS, SLICE_VISITS
        while self._jobs and looks_left > 0 and visits_left > 0:
            job = self._jobs[0]
            object_id = next(job.object_ids, None)
            if object_id is None:
                self._jobs.popleft()
                self._end(job, now_s)
                continue
            looks_left -= 1
            entry = self._residents.get(object_id)
            if entry is not None and job.visit(entry, now_s):
                visits_left -= 1
                job.count += 1

    def deadline_s(self, now_s: float) -> float | None:
        """At once, while there is work."""
        return now_s if self._jobs else None

    def _end(self, job: _Job, now_s: float) -> None:
        if job.purge is None:
            return
        self._counters.purged_objects += job.count
        self._effects.emit(PurgeDone(purge_id=job.purge.purge_id, count=job.count))
        self._recorder.record(
            Purged(
                at_s=now_s,
                kind=job.purge.kind,
                value=job.purge.value,
                is_soft=job.purge.is_soft,
                count=job.count,
            )
        )

    # -- what is being fetched

    # A fetch without a head is barred when its head is here: until then it is not known whether
    # those who wait may share it.

    def _spoil(self, is_meant: Callable[[str], bool]) -> None:
        for fill in self._open:
            if is_meant(fill.url):
                self._outdate(fill)

    def _spoil_tag(self, tag: str) -> None:
        for fill in self._open:
            if fill.state == "asked":
                fill.purged_tags.add(tag)
            elif tag in tags_of(fill.response_headers):
                self._outdate(fill)

    def _outdate(self, fill: Fill) -> None:
        fill.is_outdated = True
        if fill.state != "asked":
            self._open.bar(fill, "purged")


def _everything(url: str) -> bool:
    return True


def _is_one_of(wanted: str | None) -> Callable[[str], bool]:
    return lambda url: url == wanted


def _begins_with(prefixes: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda url: url.startswith(prefixes)
