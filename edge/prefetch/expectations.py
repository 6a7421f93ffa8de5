"""Tells the cache who may ask for what, where its policy orders by that (`eviction = "expected"`).

Objects that are asked for together are a group (cache.eviction.hopes): one version of a title's
picture or sound, or its texts. What is told:

    a viewer begins one     they ask for its parts, one after another, until it ends
    the judge has answered  they may go on to the successor, at the versions that they are on now
    a viewer has left       they may take it up again, unless they have seen it
    a prefetch starts       for whom else: titles that somebody may begin, other rungs

Viewers are numbers that Viewers gave them; one that is let go of there is forgotten here. With any
other policy nothing is told and nothing remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from cache.eviction import Belonging
from cache.eviction.hopes import Hopes
from edge.media_map import MediaMap
from edge.prefetch.judge import Verdict
from edge.prefetch.market import Offer
from edge.prefetch.staging import Intent, nearest
from edge.residents import Residents
from edge.sessions import Session
from nearcast.media import Representation, TrackKind
from predictor.features import FINISHED_PROGRESS

Group = tuple[str, str]
"""A title's URL, and one of its representations or TEXTS."""

TEXTS: Final = ""
_KINDS: Final[tuple[TrackKind, ...]] = ("video", "audio")

SORTED_MAX: Final = 10_000
"""Versions of which is remembered that all their objects know where they belong."""


class _Told(msgspec.Struct):
    """What the cache knows of one session."""

    groups: dict[Group, None]
    verdict: Verdict | None = None
    successor_groups: tuple[Group, ...] = ()


class Expectations:
    """Between the sessions and the cache. Feed it what sessions and the judge find."""

    def __init__(self, residents: Residents, media_map: MediaMap) -> None:
        self._belongings = residents.belongings
        self._map = media_map
        expects = residents.index.expects
        self._hopes: Hopes | None = expects.hopes if expects is not None else None
        self._told: dict[str, _Told] = {}  # by session
        self._sorted: OrderedDict[Group, None] = OrderedDict()
        if self._hopes is not None:
            residents.belongings.find = self._belonging

    def _belonging(self, url: str) -> Belonging | None:
        group = self._group(url)
        return Belonging(group=group, is_told=True) if group is not None else None

    def _group(self, url: str) -> Group | None:
        """Of an object. Titles that share it (DASH and HLS often do) have one group together."""
        places = self._map.places(url)
        if places:
            return min((place.title_url, place.representation_id) for place in places)
        titles = self._map.titles_of(url)
        return (min(title.url for title in titles), TEXTS) if titles else None

    # -- sessions

    def watched(self, session: Session, now_s: float) -> None:
        """A session has begun, got on, or switched."""
        if self._hopes is None or not session.viewer.no:
            return
        told = self._told.get(session.name)
        if told is None:
            told = self._told[session.name] = _Told(groups={})
            for group in self._hopes.groups_of(session.viewer.no):
                if group in self._all_groups(session.title_url):
                    self._hopes.drop(group, session.viewer.no)  # it has come true
        left_s = session.progress.runtime_s * (1.0 - session.progress.share(now_s))
        for group in self._groups(session.title_url, session):
            if group not in told.groups:
                told.groups[group] = None
                self._hopes.asked(group, session.viewer.no, now_s + left_s, now_s, is_watching=True)

    def decided(self, verdict: Verdict, now_s: float) -> None:
        """It is known anew how likely a viewer goes on."""
        told = self._told.get(verdict.session.name)
        viewer = verdict.session.viewer
        if told is None or not viewer.no or viewer.last_title_url == verdict.successor_url:
            return
        told.verdict = verdict
        progress = verdict.session.progress
        left_s = progress.runtime_s * (1.0 - max(verdict.share, progress.share(now_s)))
        self._foretell(told, verdict, now_s + max(left_s, 0.0), now_s)

    def ended(self, session: Session, now_s: float) -> None:
        """A session is over; when it ended was seen earlier."""
        told = self._told.pop(session.name, None)
        viewer = session.viewer
        if self._hopes is None or told is None or not viewer.no:
            return
        verdict = told.verdict
        ended_s = min(max(session.last_seen_s, session.progress.played_out_s()), now_s)
        is_finished = session.progress.share(ended_s) >= FINISHED_PROGRESS
        staying = self._groups(session.title_url, session)
        for group in told.groups:
            self._hopes.left(
                group, viewer.no, ended_s, is_finished=is_finished or group not in staying
            )
        if verdict is not None and viewer.last_title_url != verdict.successor_url:
            self._foretell(told, verdict, ended_s, now_s)

    def learned(self, url: str, now_s: float) -> None:
        """A manifest was read: the versions of its title are known now."""
        for told in tuple(self._told.values()) if self._hopes is not None else ():
            verdict = told.verdict
            if verdict is not None and verdict.successor_url == url:
                self.decided(verdict, now_s)
        if self._hopes is not None:
            self._belongings.learned(url, self._belonging(url))

    def forget(self, viewer_nos: Iterable[int]) -> None:
        """Leave nothing of these viewers."""
        if self._hopes is not None:
            for viewer_no in viewer_nos:
                self._hopes.forget(viewer_no)

    # -- prefetches

    def fetching(self, offer: Offer, now_s: float) -> None:
        """An object is being fetched ahead. For whom nothing was foretold of it, this is."""
        if self._hopes is None:
            return
        group = self._group(offer.url)
        for plan, want in offer.wants.values():
            if plan.source == "in-session":
                continue  # they are watching it
            viewer = plan.session.viewer.no if isinstance(plan, Intent) else plan.name
            about = group or (plan.about_url, TEXTS)
            if not self._hopes.has(about, viewer):
                chance = plan.chance * want.share
                self._hopes.foretold(about, viewer, now_s, (chance,) * 3, now_s)

    # -- versions

    def _foretell(self, told: _Told, verdict: Verdict, since_s: float, now_s: float) -> None:
        assert self._hopes is not None
        viewer_no = verdict.session.viewer.no
        groups = self._groups(verdict.successor_url, verdict.session)
        for group in told.successor_groups:
            if group not in groups:
                self._hopes.drop(group, viewer_no)
        told.successor_groups = groups
        for group in groups:
            self._hopes.foretold(group, viewer_no, since_s, verdict.probabilities, now_s)

    def _groups(self, title_url: str, session: Session) -> tuple[Group, ...]:
        """What a viewer would ask for of a title, being on these rungs."""
        groups = [(title_url, TEXTS)]
        title = self._map.title(title_url)
        for kind in _KINDS if title is not None else ():
            assert title is not None
            one = nearest(title.representations(kind), session.rungs.get(kind))
            if one is not None and (kind == "audio" or kind in session.rungs):
                groups.append(self._of_version(title_url, one))
        return tuple(groups)

    def _all_groups(self, title_url: str) -> set[Group]:
        groups = {(title_url, TEXTS)}
        title = self._map.title(title_url)
        for kind in _KINDS if title is not None else ():
            assert title is not None
            for one in title.representations(kind):
                groups.add(self._of_version(title_url, one))
        return groups

    def _of_version(self, title_url: str, one: Representation) -> Group:
        first = next(iter(one.segments), None)
        group = self._group(first.url) if first is not None else None
        group = group or (title_url, one.rendition.id)
        if group not in self._sorted and self._belongings.has_strays:
            self._sorted[group] = None
            if len(self._sorted) > SORTED_MAX:
                self._sorted.popitem(last=False)
            belonging = Belonging(group=group, is_told=True)
            for segment in one.segments:
                self._belongings.learned(segment.url, belonging)
        return group
