"""One title from pressing play to its end.

The manifest (and for HLS all playlists at once) comes first; then each track fetches its segments
in order, one request at a time, tracks in parallel, as long as the buffer has room. Playback starts
and goes on after a stall when enough is buffered; a fetch that would come too late is given up for
a lower rung (abr.abandon); failures are retried while there is something to play. Everything is a
function of events and `now_s`: nothing ticks.
"""

from __future__ import annotations

from collections.abc import Iterator

from abr import events as ev
from abr.client_data import ClientData
from abr.config import PlayerConfig
from abr.fetcher import Fetcher
from abr.journal import Journal
from abr.opening import Opening
from abr.playback import TIME_S_TOLERANCE, Playback
from abr.report import EndReason, SessionReport
from abr.requests import Requests
from abr.rescue import Rescue
from abr.selection import RungSelector
from abr.status import PlayerStatus, held_until_s, player_status
from abr.tally import Tally
from abr.throughput import ThroughputMeter
from abr.title import ALIGNMENT_S_TOLERANCE, Title, Track
from abr.transfer import Transfer
from nearcast.errors import RemoteProtocolError
from nearcast.machine import EffectQueue
from nearcast.media import Segment
from nearcast.record import Recorder


class PlayerCore:
    """The machine for one title. Feed it `Start` first; it ends with one `SessionEnded`.

    `meter` and `request_ids` are the viewer's and live longer than the title. `carried_kbps` is the
    rung the title before ended at.
    """

    def __init__(
        self,
        config: PlayerConfig,
        url: str,
        *,
        session_id: str,
        meter: ThroughputMeter,
        request_ids: Iterator[int],
        recorder: Recorder,
        watch_s: float | None = None,
        is_next_episode: bool = False,
        carried_kbps: float | None = None,
    ) -> None:
        self._config = config
        self._url = url
        self._session_id = session_id
        self._meter = meter
        self._journal = Journal(recorder, session_id)
        self._watch_s = float("inf") if watch_s is None else watch_s
        self._is_next_episode = is_next_episode
        self._carried_kbps = carried_kbps
        self._effects: EffectQueue[ev.Effect] = EffectQueue()
        self._tally = Tally()
        self._requests = Requests(
            self._effects, request_ids, meter, self._tally, config.request_timeout_s
        )
        self._client_data = ClientData(session_id, url)
        self._opening = Opening(config, url, self._requests, self._client_data)
        self._selector = RungSelector(config, meter)
        self._rescue = Rescue(config.abandon, meter)
        self._playback = Playback(0.0)
        self._title: Title | None = None
        self._fetchers: list[Fetcher] = []  # the one that adapts first
        self._has_started = False
        self._is_pressed = False
        self._told_stall_count = 0
        self._ended: EndReason | None = None
        self._detail = ""
        self._now_s = 0.0

    def handle(self, event: ev.Event, now_s: float) -> None:
        if isinstance(event, ev.Start):
            assert not self._is_pressed, "a title is started once"
            self._is_pressed = True
            self._now_s = now_s
            self._playback = Playback(now_s)
            self._opening.start(now_s)
            return
        self._move_to(now_s)
        if self._ended is None:
            if isinstance(event, ev.Leave):
                self._end("left")
            else:
                self._answer(event)
        self._act()

    def advance(self, now_s: float) -> None:
        self._move_to(now_s)
        self._act()

    def deadline_s(self) -> float | None:
        if not self._is_pressed or self._ended is not None:
            return None
        playback = self._playback
        due = [playback.due_s(self._buffered_end_s()), self._opening.due_s()]
        due.append(self._requests.due_s())
        for fetcher in self._fetchers:
            if fetcher.transfer is not None:
                due.append(self._rescue.due_s(fetcher, playback, self._now_s))
            elif fetcher.is_waiting(self._now_s):
                due.append(fetcher.wait_until_s)
            elif not fetcher.buffer.is_complete and fetcher.is_full(playback.position_s):
                due.append(playback.reaches_s(fetcher.room_at_s()))
        return min((each for each in due if each is not None), default=None)

    def drain(self) -> list[ev.Effect]:
        return self._effects.drain()

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    @property
    def last_kbps(self) -> float | None:
        """The rung of the newest segment, for the next title to start from."""
        main = self._fetchers[0] if self._fetchers else None
        if main is None or main.last_rung < 0:
            return self._carried_kbps
        return float(main.track.ladder_kbps[main.last_rung])

    def report(self) -> SessionReport:
        """So far, or of the whole once it has ended."""
        main = self._fetchers[0] if self._fetchers else None
        return self._tally.report(
            self._playback,
            main.buffer.held if main else (),
            [float(each) for each in main.track.ladder_kbps] if main else (),
            url=self._url,
            session_id=self._session_id,
            is_next_episode=self._is_next_episode,
            has_started=self._has_started,
            ended=self._ended or "left",
            detail=self._detail,
        )

    def status(self) -> PlayerStatus:
        return player_status(
            self._url, self._playback, self._title, self._fetchers, self._tally, self._meter
        )

    def _move_to(self, now_s: float) -> None:
        """Let playback run up to now, which may end it."""
        self._now_s = max(now_s, self._now_s)
        if not self._is_pressed or self._ended is not None:
            return
        before = self._playback.state
        self._playback.advance(self._now_s, self._buffered_end_s())
        if self._playback.state == "ended":
            is_whole = self._title is not None and self._playback.position_s >= self._title.end_s
            self._end("finished" if is_whole else "left")
        elif self._playback.state != before:
            self._journal.changed("stalled", self._playback, self._now_s)

    def _buffered_end_s(self) -> float:
        return held_until_s(self._title, self._fetchers)

    def _answer(self, event: ev.Event) -> None:
        transfer = self._requests.find(event)
        if transfer is None:
            return
        if isinstance(event, ev.ResponseStarted):
            self._requests.started(transfer, event, self._now_s)
            wanted = transfer.segment.byte_range if transfer.segment else None
            if wanted and event.status == 200 and event.size_bytes != wanted.size_bytes:
                self._end("failed", f"{transfer.url}: the server ignores Range requests")
        elif isinstance(event, ev.BytesArrived):
            self._requests.arrived(transfer, event.received_bytes, self._now_s)
        elif isinstance(event, ev.ResponseEnded):
            self._requests.arrived(transfer, event.size_bytes, self._now_s)
            is_complete = event.size_bytes > 0
            self._close(transfer, is_complete=is_complete)
            if is_complete:
                self._complete(transfer, event.text or b"")
            else:
                self._failed(transfer, "the answer is empty", None)
        elif isinstance(event, ev.ResponseFailed):
            self._close(transfer)
            self._failed(transfer, event.detail, event.status)

    def _complete(self, transfer: Transfer, text: bytes) -> None:
        if transfer.track is None:
            try:
                title = self._opening.read(transfer, text, self._now_s)
            except RemoteProtocolError as error:
                self._end("failed", f"{transfer.url}: {error}")
            else:
                if title is not None:
                    self._begin(title)
            return
        fetcher = self._fetcher(transfer)
        if transfer.kind == "init":
            fetcher.has_init(transfer.rung)
            return
        assert transfer.segment is not None
        fetcher.has_segment(transfer.segment, transfer.rung)
        ahead_s = fetcher.buffer.ahead_s(self._playback.position_s)
        self._journal.fetched(transfer, ahead_s, self._now_s)

    def _begin(self, title: Title) -> None:
        """The manifest is understood: set up the tracks."""
        self._title = title
        self._playback.stop_at_s = min(title.end_s, self._watch_s)
        tracks = [title.main]
        if title.audio_choices is not None:
            rung = title.choose_audio(self._meter.next_kbps(), self._config.audio_share)
            tracks.append(Track("audio", [title.audio_choices.representations[rung]]))
        config = self._config
        self._fetchers = [Fetcher(each, config.retry, config.buffer_s_max) for each in tracks]

    def _failed(self, transfer: Transfer, detail: str, status: int | None) -> None:
        self._journal.gave_up(transfer, detail, self._now_s)
        if transfer.track is not None:
            self._fetcher(transfer).failed(transfer.rung, status, self._now_s, detail)
        elif not self._opening.failed(transfer, status, self._now_s):
            self._end("failed", f"{transfer.url}: {detail}")

    def _act(self) -> None:
        """Do what the state calls for now; called after every event."""
        if not self._is_pressed or self._ended is not None:
            return
        self._give_up_overdue()
        self._opening.advance(self._now_s)
        playback = self._playback
        if playback.state != "playing" and self._fetchers:
            self._play_if_ready()
        if playback.state != "playing":
            for fetcher in self._fetchers:
                if fetcher.is_exhausted:
                    tries = fetcher.failure_count
                    self._end("failed", f"gave up after {tries} tries: {fetcher.failure_detail}")
        for fetcher in self._fetchers:
            if self._ended is None:
                self._abandon_if_late(fetcher)
                self._fetch_next(fetcher)

    def _give_up_overdue(self) -> None:
        for transfer in self._requests.overdue(self._now_s):
            if self._ended is None:
                self._requests.cancel(transfer)
                self._close(transfer)
                detail = f"nothing came for {self._config.request_timeout_s:g} s"
                self._failed(transfer, detail, None)

    def _play_if_ready(self) -> None:
        playback = self._playback
        end_s = min(self._buffered_end_s(), playback.stop_at_s)
        ahead_s = end_s - playback.position_s
        is_rest = end_s >= playback.stop_at_s - TIME_S_TOLERANCE
        if ahead_s <= TIME_S_TOLERANCE and not is_rest:
            return
        is_startup = playback.state == "startup"
        goal_s = self._config.startup_buffer_s if is_startup else self._config.rebuffer_s
        # A goal that the buffer limit does not let it reach must not be waited for.
        is_full = all(
            each.buffer.is_complete or each.is_full(playback.position_s) for each in self._fetchers
        )
        if ahead_s >= goal_s - TIME_S_TOLERANCE or is_rest or is_full:
            playback.play()
            self._has_started = True
            self._journal.changed("playing", playback, self._now_s)

    def _abandon_if_late(self, fetcher: Fetcher) -> None:
        rung = self._rescue.rung(fetcher, self._playback, self._now_s)
        if rung is None or fetcher.transfer is None:
            return
        detail = f"too late, fetched at rung {rung} instead"
        self._journal.gave_up(fetcher.transfer, detail, self._now_s)
        self._requests.cancel(fetcher.transfer)
        self._close(fetcher.transfer)
        self._tally.abandon_count += 1
        fetcher.abandoned(rung)

    def _fetch_next(self, fetcher: Fetcher) -> None:
        position_s = self._playback.position_s
        if fetcher.transfer is not None or fetcher.buffer.is_complete:
            return
        if fetcher.is_waiting(self._now_s) or fetcher.is_full(position_s):
            return
        if self._is_ahead_of_main(fetcher):
            return
        if fetcher.planned_rung is None:
            fetcher.planned_rung = fetcher.nearest_allowed(self._choose(fetcher), self._now_s)
        rung = fetcher.planned_rung
        segment = fetcher.due_segment(rung)
        init = fetcher.missing_init(rung)
        if segment is None:  # this rung ends earlier than the one before did
            fetcher.buffer.is_complete = True
        elif init is not None:
            self._send(fetcher, "init", init, rung)
        else:
            self._send(fetcher, "segment", segment, rung)

    def _is_ahead_of_main(self, fetcher: Fetcher) -> bool:
        """Audio that is a segment ahead waits: on a slow link it would only delay the video."""
        main = self._fetchers[0].buffer
        lead_s = fetcher.buffer.end_s - main.end_s
        return not main.is_complete and lead_s > ALIGNMENT_S_TOLERANCE

    def _choose(self, fetcher: Fetcher) -> int:
        if fetcher.forced_rung is not None:
            return fetcher.forced_rung
        others_kbps = sum(float(e.track.ladder_kbps[0]) for e in self._fetchers if e is not fetcher)
        return self._selector.choose(
            fetcher,
            self._playback,
            has_started=self._has_started,
            carried_kbps=self._carried_kbps,
            others_kbps=others_kbps,
        )

    def _send(self, fetcher: Fetcher, kind: ev.RequestKind, segment: Segment, rung: int) -> None:
        track, playback = fetcher.track, self._playback
        following = track.segment_after(rung, segment.end_s) if kind == "segment" else None
        cmcd = self._client_data.of_media(
            kind,
            track.kind,
            segment,
            following,
            bitrate_kbps=float(track.ladder_kbps[rung]),
            top_bitrate_kbps=float(track.ladder_kbps[-1]),
            buffer_s=fetcher.buffer.ahead_s(playback.position_s),
            throughput_kbps=self._meter.next_kbps(),
            is_playing=playback.state == "playing",
            is_starved=playback.stall_count > self._told_stall_count,
        )
        self._told_stall_count = playback.stall_count
        fetcher.transfer = self._requests.send_media(
            kind, track.kind, segment, rung, cmcd, self._now_s
        )

    def _fetcher(self, transfer: Transfer) -> Fetcher:
        return next(each for each in self._fetchers if each.track.kind == transfer.track)

    def _close(self, transfer: Transfer, *, is_complete: bool = False) -> None:
        self._requests.close(transfer, self._now_s, is_complete=is_complete)
        if transfer.track is not None:
            self._fetcher(transfer).transfer = None

    def _end(self, reason: EndReason, detail: str = "") -> None:
        if self._ended is not None:
            return
        self._ended, self._detail = reason, detail
        self._playback.end()
        self._requests.cancel_all(self._now_s)
        self._journal.changed("ended", self._playback, self._now_s, detail)
        self._effects.emit(ev.SessionEnded(reason=reason, detail=detail))
