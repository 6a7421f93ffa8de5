"""Where what the core sees becomes events for the origin.

    bytes sent and fetched -> sums by rendition, told each `flush_s` -> Demand
    viewings that end      -> SessionEnded, with what the player said
    planned files, notes   -> Filled, Noted

No event names a viewer, and none is told at the time of one request: a sum of ten seconds is the
finest there is. Events wait here until they are drained into one `WriteTelemetry`.
"""

from __future__ import annotations

from typing import Final

from cache.http.headers import Headers, get_one
from cache.http.ranges import parse_range
from edge.config import TelemetryConfig
from edge.effects import Effect, WriteTelemetry
from edge.fill import SIZE_UNKNOWN, FillOutcome
from edge.media_index import Place
from edge.media_map import MediaMap
from edge.records import AnswerSource
from edge.sessions import Session
from edge.successors import Successors
from edge.telemetry.demand import DemandTable, Key
from edge.telemetry.reports import QoeSums, Report
from edge.telemetry.titles import TitleIds, shortened
from edge.telemetry.unplaced import Unplaced
from nearcast.cmcd import Cmcd
from nearcast.fleet import Qoe
from nearcast.machine import EffectQueue
from nearcast.media import ByteRange
from nearcast.telemetry import HEAD_S, Filled, Line, Noted, SessionEnded

NEXT_FROM_SHARE: Final = 0.5
"""Whoever is so far into an episode is about to want the one after it."""
EVENTS_MAX: Final = 10_000
"""Waiting to be drained; the core drains after each event, so that many come at once or never."""


class TelemetryDesk:
    """Events of one edge. Off, it only counts for the heartbeat."""

    def __init__(
        self,
        config: TelemetryConfig,
        *,
        is_on: bool,
        epoch_s: float,
        media_map: MediaMap,
        successors: Successors,
        ids: TitleIds,
        effects: EffectQueue[Effect],
    ) -> None:
        self._flush_s = config.flush_s
        self._epoch_s = epoch_s
        self._ahead_s = 0.0
        self._map = media_map
        self._successors = successors
        self._effects = effects
        self._demand = DemandTable(config.rows_max)
        self._unplaced = Unplaced()
        self._qoe = QoeSums()
        self._waiting: list[Line] = []
        self._due_s: float | None = None
        self.is_on = is_on
        self.ids = ids
        self.dropped_count = 0
        """Events for which there was no room."""

    @property
    def qoe(self) -> Qoe:
        """What players said since the node started."""
        return self._qoe.figures()

    # -- what happens

    def sent(self, url: str, headers: Headers, sent_bytes: int, *, is_resident: bool) -> None:
        """A client was sent so much of this object."""
        if self.is_on and sent_bytes:
            resident_bytes = sent_bytes if is_resident else 0
            self._count(
                url, _first_byte(headers), client_bytes=sent_bytes, resident_bytes=resident_bytes
            )

    def answered(self, url: str, headers: Headers, sent_bytes: int, source: AnswerSource) -> None:
        """A client was sent so much, not by the hit path alone."""
        if source == "own":
            return
        self.sent(url, headers, sent_bytes, is_resident=source == "store")
        if source == "upstream" and self.is_on and sent_bytes:
            self._count(url, _first_byte(headers), origin_bytes=sent_bytes)

    def fetched(self, outcome: FillOutcome) -> None:
        """A fill is over. What came from another edge cost the origin nothing."""
        if self.is_on and outcome.received_bytes and not outcome.peer:
            self._count(outcome.url, 0, origin_bytes=outcome.received_bytes)

    def learned(self) -> None:
        """A manifest was read: it may say what was served before."""
        for one in self._unplaced.take():
            is_placed = self._place_and_count(
                one.url,
                one.first_byte,
                client_bytes=one.client_bytes,
                resident_bytes=one.resident_bytes,
                origin_bytes=one.origin_bytes,
            )
            if not is_placed:
                self._unplaced.put_back(one)

    def planned(self, title: str, rendition: str, received_bytes: int) -> None:
        """So much was fetched for a plan: the origin's account of fills has to outlive this node's
        counters."""
        if self.is_on and received_bytes:
            self._demand.planned((shortened(title), shortened(rendition)), received_bytes)

    def started(self, session: Session) -> None:
        """A viewing has begun."""
        self._qoe.begun()

    def begun(self, session: Session) -> None:
        """It has asked for its first picture: now it is known which rendition it begins with."""
        if self.is_on and session.first_rung is not None:
            title = self.ids.id_of(session.title_url)
            self._demand.begun((title, shortened(session.first_rung.representation_id)))

    def heard(self, session: Session, place: Place, said: Cmcd, at_s: float) -> None:
        """A player asked for a segment, and said this."""
        if session.report is None:
            session.report = Report(session.started_s)
        is_picture = place.kind == "video"
        self._qoe.heard(session.report, said, at_s, is_picture=is_picture)

    def ended(self, session: Session, now_s: float) -> None:
        """A viewing is over."""
        if not self.is_on:
            return
        report = session.report if session.report is not None else Report(session.started_s)
        last_s = max(session.last_seen_s, session.progress.played_out_s())
        self._add(
            SessionEnded(
                wall_s=self._wall_s(min(last_s, now_s)),
                title=self.ids.id_of(session.title_url),
                watched_s=session.progress.watched_s(now_s),
                duration_s=session.progress.runtime_s,
                startup_s=report.startup_s,
                stall_count=report.stall_count,
                bitrate_kbps=report.average_kbps,
                error_count=report.error_count,
                next_title=self._next_title(session, now_s),
            )
        )

    def filled(
        self,
        plan_id: str,
        title: str,
        rendition: str,
        size_bytes: int,
        source: str,
        now_s: float,
        *,
        is_complete: bool = True,
    ) -> None:
        """A planned file is complete, or was given up."""
        wall_s = self._wall_s(now_s)
        self._add(
            Filled(
                wall_s=wall_s,
                plan_id=plan_id,
                title=shortened(title),
                rendition=shortened(rendition),
                size_bytes=size_bytes,
                source=source,
                is_complete=is_complete,
            )
        )

    def noted(self, what: str, detail: str, now_s: float) -> None:
        """Something an operator would like to read."""
        self._add(Noted(wall_s=self._wall_s(now_s), what=shortened(what), detail=shortened(detail)))

    # -- time

    def time_told(self, ahead_s: float) -> None:
        """The time is so far ahead of what the node took it for when it started. What waits to be
        told is of the last seconds: it gets the right time too."""
        self._ahead_s = ahead_s

    def advance(self, now_s: float) -> None:
        """Tell the sums when it is time."""
        if self._due_s is not None and now_s >= self._due_s:
            self.flush(now_s)

    def deadline_s(self) -> float | None:
        return self._due_s

    def settle(self, now_s: float) -> None:
        """After each event: hand out what is to be written, and see to it that sums are told."""
        self._unplaced.advance(now_s)
        if self._demand.is_full:
            self.flush(now_s)
        elif self._due_s is None and len(self._demand):
            self._due_s = now_s + self._flush_s
        if self._waiting:
            events, self._waiting = tuple(self._waiting), []
            self._effects.emit(WriteTelemetry(events=events))

    def flush(self, now_s: float) -> None:
        """Tell all sums now."""
        self._due_s = None
        for event in self._demand.take(self._wall_s(now_s)):
            self._add(event)

    # -- parts

    def _count(
        self,
        url: str,
        first_byte: int,
        *,
        client_bytes: int = 0,
        resident_bytes: int = 0,
        origin_bytes: int = 0,
    ) -> None:
        amounts = {
            "client_bytes": client_bytes,
            "resident_bytes": resident_bytes,
            "origin_bytes": origin_bytes,
        }
        if not self._place_and_count(url, first_byte, **amounts):
            self._unplaced.add(url, first_byte, **amounts)

    def _place_and_count(
        self,
        url: str,
        first_byte: int,
        *,
        client_bytes: int,
        resident_bytes: int,
        origin_bytes: int,
    ) -> bool:
        """Whether it is known whose it is."""
        place = self._place(url, first_byte)
        if place is None:
            return False
        key = self._key(place)
        if client_bytes:
            is_head = place.segment.start_s < HEAD_S
            is_resident = resident_bytes > 0
            self._demand.sent(key, client_bytes, is_resident=is_resident, is_head=is_head)
        if origin_bytes:
            self._demand.fetched(key, origin_bytes)
        return True

    def _wall_s(self, at_s: float) -> float:
        return self._epoch_s + self._ahead_s + at_s

    def _add(self, event: Line) -> None:
        if not self.is_on:
            return
        if len(self._waiting) >= EVENTS_MAX:
            self.dropped_count += 1
            return
        self._waiting.append(event)

    def _place(self, url: str, first_byte: int) -> Place | None:
        """What this is; of the titles that share it the one used last."""
        places = self._map.places(url, first_byte)
        if len(places) <= 1:
            return places[0] if places else None

        def used_no(place: Place) -> int:
            title = self._map.title(place.title_url)
            return title.used_no if title is not None else 0

        return max(places, key=used_no)

    def _key(self, place: Place) -> Key:
        return self.ids.id_of(place.title_url), shortened(place.representation_id)

    def _next_title(self, session: Session, now_s: float) -> str:
        if session.progress.share(now_s) < NEXT_FROM_SHARE:
            return ""
        next_url = self._successors.after(session.title_url)
        if next_url is None or session.viewer.last_title_url == next_url:
            return ""  # they have gone on already: nothing is pending
        return self.ids.id_of(next_url)


def _first_byte(headers: Headers) -> int:
    asked = get_one(headers, "range") if headers else None
    if asked is None:
        return 0
    selection = parse_range(asked, SIZE_UNKNOWN)
    return selection.first if isinstance(selection, ByteRange) else 0
