"""The title being watched: its next segments, before its player asks for them.

A player that has filled its buffer asks for one segment after the other, with pauses. In a pause
the edge can fetch the next one, at the rung that the player will most likely ask for
(edge.prefetch.rungs): then the player does not wait for the backhaul, and does not take it for its
own link. The byte costs the same now as in a few seconds and is fetched once either way, so what it
is worth is the waiting it saves: much where a fetch takes a good part of the time that the segment
plays, nothing where the backhaul is quick. A wrong rung costs the whole segment.

Nothing is fetched twice: what is here or on its way is passed over, and a player that asks for what
is on its way joins it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from cache.http.headers import Headers
from edge.config import PrefetchConfig
from edge.media_index import Place
from edge.media_map import MediaMap, Title
from edge.prefetch.backhaul import Backhaul
from edge.prefetch.planner import Planner
from edge.prefetch.plans import Source, Want
from edge.prefetch.rungs import Climb, Guess, Rungs
from edge.prefetch.staging import nearest, piece
from edge.sessions import Move, Session
from nearcast.media import Representation, Segment, TrackKind
from nearcast.units import bytes_per_s_from_kbps

SESSIONS_MAX: Final = 1_000
"""Sessions whose next segments are looked at; of more those that asked last."""

ON_SHARE: Final = 0.985
"""That a viewer who is watching asks for the next segment: few leave in any few seconds."""

_KINDS: Final[tuple[TrackKind, ...]] = ("video", "audio")


class Ahead:
    """The plan for one session."""

    source: Source = "in-session"
    is_bounded = True
    probabilities: tuple[float, ...] = ()
    chance = 1.0

    def __init__(self, name: str, session: Session, owner: InSession) -> None:
        self.name = name
        self.session = session
        self.viewer_key = session.name
        self.about_url = session.title_url
        self.order_no = 0
        self.climb = Climb()
        self.next_index: dict[TrackKind, int] = {}
        """The first segment not asked for yet."""
        self._owner = owner

    @property
    def headers(self) -> Headers:
        return self.session.shared_headers

    @property
    def is_placed(self) -> bool:
        """Whether its rung is known."""
        return self.climb.level is not None

    def next_want(self, now_s: float) -> Want | None:
        return self._owner.next_want(self, now_s)

    def wants(self, url: str) -> bool:
        return self._owner.wants(self, url)


class InSession:
    """Makes a plan for each session that is being watched."""

    def __init__(
        self,
        config: PrefetchConfig,
        *,
        media_map: MediaMap,
        planner: Planner,
        backhaul: Backhaul,
        is_settled: Callable[[str, Headers, float], bool],
    ) -> None:
        self._ahead_s = config.in_session_s
        # Below this share of waiting not even a rung that is certain is worth anything.
        self._load_min = (1.0 / ON_SHARE - 1.0) * config.cost_now / max(config.stall_value, 1e-9)
        self._map = media_map
        self._planner = planner
        self._backhaul = backhaul
        self._is_settled = is_settled
        self.rungs = Rungs()
        self._plans: OrderedDict[str, Ahead] = OrderedDict()  # by session; asked longest ago first
        self._ladders: OrderedDict[str, _Ladder] = OrderedDict()  # by title

    def moved(self, move: Move) -> None:
        """A viewer asked for a segment. Called for each, hits included: where the backhaul is
        quick it returns at once."""
        session, place = move.session, move.place
        if place.segment_index is None or not self._is_slow(session, place):
            return
        title = self._map.title(session.title_url)
        if title is None:
            return
        plan = self._plans.get(session.name)
        if plan is None:
            plan = self._plans[session.name] = Ahead(f"ahead/{session.name}", session, self)
            if len(self._plans) > SESSIONS_MAX:
                _, oldest = self._plans.popitem(last=False)
                self._planner.end(oldest.name)
        self._plans.move_to_end(session.name)
        plan.next_index[place.kind] = place.segment_index + 1
        if place.kind == "video":
            ladder = self._ladder(title)
            level = ladder.levels.get(place.representation_id)
            if level is not None:
                hint = self._hinted(title, ladder, move.hint_url)
                plan.climb.outlook = ladder.outlook(level, move.throughput_kbps)
                plan.climb.buffer_s = move.buffer_s
                self.rungs.learn(plan.climb, level, len(ladder.rungs) - 1, hint)
        self._planner.nudge(plan)

    def _is_slow(self, session: Session, place: Place) -> bool:
        """Whether a fetch takes long enough for anybody to gain by its being earlier."""
        rung, duration_s = session.rungs.get(place.kind), place.segment.duration_s
        if rung is None or duration_s <= 0:
            return False
        size_bytes = int(bytes_per_s_from_kbps(rung.rate_kbps) * duration_s)
        return self._backhaul.fetch_s(size_bytes) > self._load_min * duration_s

    def ended(self, session: Session) -> None:
        plan = self._plans.pop(session.name, None)
        if plan is not None:
            self._planner.end(plan.name)

    def next_want(self, plan: Ahead, now_s: float) -> Want | None:
        """The piece to be shown first that is not here, of those to be shown soon."""
        title = self._map.title(plan.about_url)
        if title is None or not plan.next_index:
            return None
        guess = self.rungs.guess(plan.climb)
        until_s = plan.session.progress.downloaded_end_s + self._ahead_s
        found: tuple[float, int, Representation, Segment, float] | None = None
        for order, kind in enumerate(_KINDS):
            one = self._version(plan, title, kind, guess)
            if one is None or kind not in plan.next_index:
                continue
            share = ON_SHARE
            for index in range(plan.next_index[kind], len(one.segments)):
                segment = one.segments[index]
                if segment.start_s >= until_s or segment.byte_range is not None:
                    break
                if kind == "video":
                    share *= guess.share
                if found is not None and found[0] <= segment.start_s:
                    break
                if not self._is_settled(segment.url, plan.headers, now_s):
                    found = segment.start_s, order, one, segment, share
                    break
        if found is None:
            return None
        _, _, one, segment, share = found
        size_bytes = piece(one, segment, "next").size_bytes
        wait_s = self._backhaul.fetch_s(size_bytes)
        load = min(wait_s / segment.duration_s, 1.0) if segment.duration_s > 0 else 0.0
        return Want(segment.url, size_bytes, "next", one.rendition.average_kbps, share, load)

    def wants(self, plan: Ahead, url: str) -> bool:
        """Whether a piece on its way will still be asked for."""
        title = self._map.title(plan.about_url)
        for place in self._map.places(url):
            if title is None or place.title_url != plan.about_url or place.segment_index is None:
                continue
            one = self._version(plan, title, place.kind, self.rungs.guess(plan.climb))
            is_at_rung = one is not None and one.rendition.id == place.representation_id
            return is_at_rung and place.segment_index >= plan.next_index.get(place.kind, 0)
        return False

    def _version(
        self, plan: Ahead, title: Title, kind: TrackKind, guess: Guess
    ) -> Representation | None:
        if kind == "video":
            rungs = self._ladder(title).rungs
            return rungs[guess.level] if guess.level < len(rungs) and plan.is_placed else None
        return nearest(title.representations(kind), plan.session.rungs.get(kind))

    def _hinted(self, title: Title, ladder: _Ladder, url: str | None) -> int | None:
        """The level of the video segment that a player names as its next object."""
        for place in self._map.places(url) if url is not None else ():
            if place.title_url == title.url and place.kind == "video":
                return ladder.levels.get(place.representation_id)
        return None

    def _ladder(self, title: Title) -> _Ladder:
        known = self._ladders.get(title.url)
        if known is None or known.presentation is not title.presentation:
            known = self._ladders[title.url] = _Ladder(title)
            if len(self._ladders) > SESSIONS_MAX:
                self._ladders.popitem(last=False)
        return known


class _Ladder:
    """The pictures of a title, lowest rate first."""

    def __init__(self, title: Title) -> None:
        self.presentation = title.presentation
        self.rungs: tuple[Representation, ...] = tuple(
            sorted(title.representations("video"), key=lambda one: one.rendition.average_kbps)
        )
        self.levels = {one.rendition.id: level for level, one in enumerate(self.rungs)}

    def outlook(self, level: int, throughput_kbps: float | None) -> int | None:
        """How many rungs above this one, or below, the throughput that a player measured would
        carry."""
        if throughput_kbps is None:
            return None
        carried = sum(one.rendition.average_kbps <= throughput_kbps for one in self.rungs) - 1
        return max(carried, 0) - level
