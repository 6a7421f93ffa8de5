"""Viewing sessions: who watches which title, and how far they have got.

A session is one viewing of one title. Its name is CMCD's session id, or without CMCD the viewer's
pseudonym (edge.viewers) and the title. Requests move its progress on (edge.progress); in between
it runs with the time, and each checkpoint of the title is reported once.

A session is over when it has been silent for `idle_s` after its buffer has played out. That a
viewer starts something else does not end it by itself: several may share an address.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import urljoin

import msgspec

from cache.http.headers import Headers, get_one
from cache.http.ranges import parse_range
from edge.config import SessionsConfig
from edge.fill import SIZE_UNKNOWN
from edge.media_index import Place
from edge.media_map import MediaMap, StreamFormat, Title
from edge.progress import Progress
from edge.records import CheckpointReached
from edge.services import Services
from edge.status import Counters
from edge.successors import Successors
from edge.telemetry.reports import Report
from edge.viewers import Rung, Viewer, Viewers, device
from nearcast import cmcd
from nearcast.media import ByteRange, TrackKind
from nearcast.record import Recorder
from predictor.features import CHECKPOINTS

# A wake-up computed from a position finds that position reached but for rounding.
_ROUNDING = 1e-6
ROUND_AGAIN_S: Final = 0.001
"""Soonest that a session that has just been looked at is looked at again."""

_FORMATS: dict[str, StreamFormat] = {"d": "dash", "h": "hls"}


class Previous(msgspec.Struct, frozen=True):
    """What a viewer watched before."""

    url: str
    share: float
    """Of it that was played."""
    gap_s: float
    """Since then."""


class Session:
    """One viewing of one title."""

    def __init__(
        self, name: str, title_url: str, runtime_s: float, viewer: Viewer, at_s: float
    ) -> None:
        self.name = name
        self.title_url = title_url
        self.viewer = viewer
        self.progress = Progress(runtime_s)
        self.started_s = at_s
        self.last_seen_s = at_s
        self.rungs: dict[TrackKind, Rung] = {}
        self.first_rung: Rung | None = None
        """What the picture began with."""
        self.came_from: Rung | None = None
        """What the picture of the title before was on, if this one follows it."""
        self.previous: Previous | None = None
        self.shared_headers: Headers = ()
        """What its requests send upstream: fetches on its behalf say the same."""
        self.report: Report | None = None
        """What its player said of itself, where somebody keeps it."""
        self.is_tv = False
        self.is_mobile = False
        self.is_counted = False
        """Among those of whom it is observed what they go on to."""
        self.next_checkpoint_index = 0
        self.wake_s: float | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A session has played this share of its title."""

    session: Session
    share: float


class Move(msgspec.Struct, frozen=True):
    """A session has asked for this segment. Of what its player says: `hint_url` is what comes
    next, `buffer_s` and `throughput_kbps` are what it decides by."""

    session: Session
    place: Place
    hint_url: str | None
    buffer_s: float | None
    throughput_kbps: float | None


class Sessions:
    """The open sessions. Feed it every request that was answered, in order."""

    def __init__(
        self,
        config: SessionsConfig,
        *,
        services: Services,
        media_map: MediaMap,
        successors: Successors,
        viewers: Viewers,
        counters: Counters,
        recorder: Recorder,
        tells_moves: bool = False,
    ) -> None:
        """`tells_moves`: whether somebody takes them."""
        self._config = config
        self._tells_moves = tells_moves
        self._services = services
        self._map = media_map
        self._successors = successors
        self._viewers = viewers
        self._counters = counters
        self._recorder = recorder
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # seen longest ago first
        self._wakes: list[tuple[float, int, str]] = []
        self._sequence_no = 0
        self._reached: list[Checkpoint] = []
        self._started: list[Session] = []
        self._begun: list[Session] = []
        self._ended: list[Session] = []
        self._moves: list[Move] = []
        self.on_report: Callable[[Session, Place, cmcd.Cmcd, float], None] | None = None
        """Told what players say of themselves."""
        self.on_unknown: Callable[[str, float], None] | None = None
        """Told what clients asked for that is of no known title."""

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, name: str) -> Session | None:
        return self._sessions.get(name)

    def observe(self, url: str, target: str, headers: Headers, client: str, at_s: float) -> None:
        """A client asked for this URL at that time."""
        if not self._map:  # nothing is known that could be watched
            if self.on_unknown is not None:
                self.on_unknown(url, at_s)
            return
        for title in self._map.titles_of(url):
            self._map.use(title.url)
        places = self._map.places(url, _first_byte(headers))
        if not places:
            if self.on_unknown is not None:
                self.on_unknown(url, at_s)
            return
        report = cmcd.from_request(target, headers)
        said = report if report is not None else cmcd.Cmcd()
        agent = get_one(headers, "user-agent") or ""
        peer = self._viewers.pseudonym(client, agent)
        session, place = self._session(said, peer, places, at_s)
        if not session.shared_headers:
            session.is_tv, session.is_mobile = device(headers)
        session.last_seen_s = max(at_s, session.last_seen_s)
        service = self._services.of_url(url)
        session.shared_headers = service.forwarding.shared(headers) if service else ()
        self._sessions.move_to_end(session.name)
        self._map.use(session.title_url)
        if place.segment_index is not None:
            self._move_on(session, place, said, at_s)
            if self._tells_moves:
                hint_url = urljoin(url, said.next_object) if said.next_object else None
                self._moves.append(
                    Move(session, place, hint_url, said.buffer_s, said.throughput_kbps)
                )
        if report is not None and self.on_report is not None:
            self.on_report(session, place, report, at_s)
        self._schedule(session)

    def _session(
        self, said: cmcd.Cmcd, peer: str, places: tuple[Place, ...], at_s: float
    ) -> tuple[Session, Place]:
        """The session that a segment request belongs to, a new one if need be."""
        prefix = f"{peer}/{said.session_id}" if said.session_id else peer
        for place in places:
            session = self._sessions.get(f"{prefix}/{place.title_url}")
            if session is not None:
                return session, place
        place = self._likeliest(places, _FORMATS.get(said.stream_format or ""))
        title = self._map.title(place.title_url)
        assert title is not None, "the map forgets places with their title"
        predecessor_url = self._successors.before(place.title_url)
        viewer = self._viewers.choose(peer, predecessor_url)
        episode = self._successors.episode(place.title_url)
        is_next = predecessor_url is not None and viewer.last_title_url == predecessor_url
        previous = _previous(viewer, at_s)
        viewer.begin(
            place.title_url,
            episode.series if episode is not None else None,
            is_next=is_next,
            at_s=at_s,
        )
        name = f"{prefix}/{place.title_url}"
        session = Session(name, place.title_url, title.runtime_s, viewer, at_s)
        session.previous = previous
        session.came_from = viewer.last_rung if is_next else None
        self._sessions[name] = session
        self._started.append(session)
        self._counters.sessions_started += 1
        while len(self._sessions) > self._config.count_max:
            self._end(next(iter(self._sessions.values())))
        return session, place

    def _likeliest(self, places: tuple[Place, ...], said: StreamFormat | None) -> Place:
        """Of the titles that share a segment: the one of the format that the player names, else
        the one whose manifest was used last."""

        def order(place: Place) -> tuple[bool, int]:
            title = self._map.title(place.title_url)
            return (title.stream_format == said, title.used_no) if title else (False, 0)

        return max(places, key=order)

    def _move_on(self, session: Session, place: Place, said: cmcd.Cmcd, at_s: float) -> None:
        title = self._map.title(session.title_url)
        if title is None:
            return
        session.progress.runtime_s = title.runtime_s
        rung = session.rungs[place.kind] = _rung(title, place)
        if place.kind == "video":
            session.viewer.last_rung = rung
            if session.first_rung is None:
                session.first_rung = rung
                self._begun.append(session)
        is_picture = place.kind == "video" or not title.representations("video")
        session.progress.requested(
            place.segment.start_s,
            place.segment.end_s,
            at_s,
            buffer_s=said.buffer_s,
            rate=said.playback_rate,
            extends=is_picture,
        )

    # -- time

    def advance(self, now_s: float) -> None:
        """Let progress run, and end what has been silent for too long."""
        while self._wakes and self._wakes[0][0] <= now_s:
            wake_s, _, name = heapq.heappop(self._wakes)
            session = self._sessions.get(name)
            if session is None or session.wake_s != wake_s:
                continue
            session.wake_s = None
            self._check(session, now_s)
            if now_s >= self._idle_at_s(session):
                self._end(session)
            else:
                self._schedule(session, after_s=now_s + ROUND_AGAIN_S)

    def deadline_s(self) -> float | None:
        while self._wakes:
            wake_s, _, name = self._wakes[0]
            session = self._sessions.get(name)
            if session is not None and session.wake_s == wake_s:
                return wake_s
            heapq.heappop(self._wakes)
        return None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._reached or self._started or self._begun or self._ended or self._moves)

    def take_reached(self) -> list[Checkpoint]:
        reached, self._reached = self._reached, []
        return reached

    def take_started(self) -> list[Session]:
        started, self._started = self._started, []
        return started

    def take_begun(self) -> list[Session]:
        """Sessions that have asked for their first picture."""
        begun, self._begun = self._begun, []
        return begun

    def take_moves(self) -> list[Move]:
        """In the order of the requests."""
        moves, self._moves = self._moves, []
        return moves

    def take_ended(self) -> list[Session]:
        ended, self._ended = self._ended, []
        return ended

    def open(self) -> tuple[Session, ...]:
        """Those that are not over, the one seen longest ago first."""
        return tuple(self._sessions.values())

    def drop(self, viewers: Collection[Viewer]) -> int:
        """End what these viewers watch; how many sessions that were."""
        theirs = [one for one in self._sessions.values() if one.viewer in viewers]
        for session in theirs:
            self._end(session)
        return len(theirs)

    def _check(self, session: Session, now_s: float) -> None:
        """Report the checkpoints reached; the last one when several were passed at once."""
        share = session.progress.share(now_s)
        last_s = max(session.last_seen_s, session.progress.played_out_s())
        session.viewer.seen(session.title_url, share, min(now_s, last_s))
        reached: float | None = None
        while (
            session.next_checkpoint_index < len(CHECKPOINTS)
            and share + _ROUNDING >= CHECKPOINTS[session.next_checkpoint_index]
        ):
            reached = CHECKPOINTS[session.next_checkpoint_index]
            session.next_checkpoint_index += 1
            self._counters.checkpoints += 1
            self._recorder.record(
                CheckpointReached(at_s=now_s, title_url=session.title_url, share=reached)
            )
        if reached is not None:
            self._reached.append(Checkpoint(session, reached))

    def _schedule(self, session: Session, *, after_s: float = 0.0) -> None:
        """Wake when the next checkpoint will be reached, else when the session will be over; not
        before `after_s`, so that no rounding can make one moment come for ever."""
        wake_s: float | None = None
        if session.next_checkpoint_index < len(CHECKPOINTS):
            wake_s = session.progress.when_s(CHECKPOINTS[session.next_checkpoint_index])
        if wake_s is None:
            wake_s = self._idle_at_s(session)
        wake_s = max(wake_s, after_s)
        if wake_s != session.wake_s:
            session.wake_s = wake_s
            self._sequence_no += 1
            heapq.heappush(self._wakes, (wake_s, self._sequence_no, session.name))
            if len(self._wakes) > 4 * len(self._sessions) + 64:
                self._drop_outdated()

    def _drop_outdated(self) -> None:
        self._wakes = [
            item
            for item in self._wakes
            if (session := self._sessions.get(item[2])) is not None and session.wake_s == item[0]
        ]
        heapq.heapify(self._wakes)

    def _idle_at_s(self, session: Session) -> float:
        return max(session.last_seen_s, session.progress.played_out_s()) + self._config.idle_s

    def _end(self, session: Session) -> None:
        del self._sessions[session.name]
        session.viewer.end()
        self._ended.append(session)


def _previous(viewer: Viewer, at_s: float) -> Previous | None:
    if viewer.last_title_url is None or viewer.last_end_s is None:
        return None
    return Previous(viewer.last_title_url, viewer.last_share, max(at_s - viewer.last_end_s, 0.0))


def _first_byte(headers: Headers) -> int:
    asked = get_one(headers, "range")
    if asked is None:
        return 0
    selection = parse_range(asked, SIZE_UNKNOWN)
    return selection.first if isinstance(selection, ByteRange) else 0


def _rung(title: Title, place: Place) -> Rung:
    for representation in title.representations(place.kind):
        if representation.rendition.id == place.representation_id:
            return Rung(
                representation_id=place.representation_id,
                rate_kbps=representation.rendition.average_kbps,
            )
    return Rung(representation_id=place.representation_id, rate_kbps=0.0)
