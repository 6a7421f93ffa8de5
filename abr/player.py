"""One title from pressing play to its end.

The manifest (and for HLS all playlists at once) comes first; then each track fetches its segments
in order, one request at a time, tracks in parallel, as long as the buffer has room. Playback starts
and goes on after a stall when enough is buffered; a fetch that would come too late is given up for
a lower rung (abr.rescue); failures are retried while there is something to play. Everything is a
function of events and `now_s`: nothing ticks.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from abr import events as ev
from abr.client_data import ClientData
from abr.config import PlayerConfig
from abr.downloads import Downloads
from abr.hosts import HostHealth, Hosts
from abr.journal import Journal
from abr.opening import Opening
from abr.playback import TIME_S_TOLERANCE, Playback
from abr.report import EndReason, SessionReport
from abr.requests import Requests
from abr.status import PlayerStatus, player_status
from abr.steering import Steering
from abr.tally import Tally
from abr.throughput import ThroughputMeter
from abr.timeline import ForecastMark
from abr.title import Title
from abr.transfer import Transfer
from nearcast.errors import RemoteProtocolError
from nearcast.machine import EffectQueue, soonest
from nearcast.record import Recorder


class PlayerCore:
    """The machine for one title. Feed it `Start` first; it ends with one `SessionEnded`.

    `meter`, `request_ids` and `health` are the viewer's and live longer than the title.
    `carried_kbps` is the rung the title before ended at.
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
        health: HostHealth,
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
        hosts = Hosts(url, config.retry, config.fallback_hosts, health)
        self._requests = Requests(self._effects, request_ids, meter, self._tally, hosts, config)
        self._client_data = ClientData(session_id, url)
        self._opening = Opening(config, url, self._requests, self._client_data)
        self._downloads: Downloads | None = None  # until the manifest is understood
        self._steering = Steering(
            config.steering,
            hosts=hosts,
            effects=self._effects,
            request_ids=request_ids,
            allows=self._opening.allows,
        )
        self._playback = Playback(0.0)
        self._begun_s = 0.0
        self._is_pressed = False
        self._ended: EndReason | None = None
        self._detail = ""
        self._now_s = 0.0

    def handle(self, event: ev.Event, now_s: float) -> None:
        if isinstance(event, ev.Start):
            assert not self._is_pressed, "a title is started once"
            self._is_pressed = True
            self._now_s = self._begun_s = now_s
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
        due = [self._playback.due_s(self._buffered_end_s())]
        due += [self._opening.due_s(), self._requests.due_s(self._now_s)]
        due.append(self._steering.due_s(self._now_s))
        if self._downloads is not None:
            due += self._downloads.due_s(self._playback, self._now_s)
        return soonest(*due)

    def drain(self) -> list[ev.Effect]:
        return self._effects.drain()

    @property
    def ended(self) -> EndReason | None:
        return self._ended

    @property
    def last_kbps(self) -> float | None:
        """The rung of the newest segment, for the next title to start from."""
        main = None if self._downloads is None else self._downloads.main
        if main is None or main.last_rung < 0:
            return self._carried_kbps
        return float(main.track.ladder_kbps[main.last_rung])

    def report(self) -> SessionReport:
        """So far, or of the whole once it has ended."""
        main = None if self._downloads is None else self._downloads.main
        return self._tally.report(
            self._playback,
            main.buffer.held if main else (),
            [float(each) for each in main.track.ladder_kbps] if main else (),
            url=self._url,
            session_id=self._session_id,
            is_next_episode=self._is_next_episode,
            ended=self._ended or "left",
            detail=self._detail,
            steering=self._steering.report(),
        )

    def foreseen(self, at_s: float) -> ForecastMark | None:
        """What the controller expected of the segment that it decided on last, at `at_s`."""
        return None if self._downloads is None else self._downloads.foreseen(at_s)

    def status(self) -> PlayerStatus:
        return player_status(self._url, self._playback, self._downloads, self._tally, self._meter)

    def _move_to(self, now_s: float) -> None:
        """Let playback run up to now, which may end it."""
        self._now_s = max(now_s, self._now_s)
        if not self._is_pressed or self._ended is not None:
            return
        before = self._playback.state
        self._playback.advance(self._now_s, self._buffered_end_s())
        if self._playback.state == "ended":
            assert self._downloads is not None
            is_whole = self._playback.position_s >= self._downloads.title.end_s
            self._end("finished" if is_whole else "left")
        elif self._playback.state != before:
            self._journal.changed("stalled", self._playback, self._now_s)

    def _buffered_end_s(self) -> float:
        return 0.0 if self._downloads is None else self._downloads.end_s

    def _answer(self, event: ev.Event) -> None:
        if self._steering.takes(event, self._now_s):
            return
        transfer = self._requests.find(event)
        if transfer is None:
            return
        if isinstance(event, ev.ResponseStarted):
            verdict = self._requests.started(transfer, event, self._now_s)
            if verdict.is_final:
                self._end("failed", f"{transfer.url}: {verdict.complaint}")
            elif verdict.complaint:
                self._requests.cancel(transfer)
                self._failed(transfer, _useless(transfer, verdict.complaint))
        elif isinstance(event, ev.BytesArrived):
            self._requests.arrived(transfer, event.received_bytes, self._now_s)
            if transfer.has_enough:
                self._requests.cancel(transfer)
                self._close(transfer, is_complete=True)
                self._complete(transfer, b"")
        elif isinstance(event, ev.ResponseEnded):
            self._requests.arrived(transfer, event.size_bytes, self._now_s)
            complaint = transfer.ended()
            if complaint:
                self._failed(transfer, _useless(transfer, complaint))
            else:
                self._close(transfer, is_complete=True)
                self._complete(transfer, event.text or b"")
        elif isinstance(event, ev.ResponseFailed):
            self._failed(transfer, event)

    def _complete(self, transfer: Transfer, text: bytes) -> None:
        if transfer.track is None:
            try:
                title = self._opening.read(transfer, text, self._now_s)
            except RemoteProtocolError as error:
                self._end("failed", f"{transfer.url}: {error}")
            else:
                tag = self._opening.steering
                self._steering.begin(tag, begun_s=self._begun_s, now_s=self._now_s)
                if title is not None:
                    self._begin(title)
            return
        assert self._downloads is not None
        fetcher = self._downloads.of(transfer)
        if transfer.kind == "init":
            assert transfer.segment is not None
            fetcher.has_init(transfer.segment)
            return
        assert transfer.segment is not None
        fetcher.has_segment(transfer.segment, transfer.rung, transfer.payload_bytes)
        main = self._downloads.title.main.kind
        self._steering.served(transfer, self._meter.next_kbps(), self._now_s, main=main)
        ahead_s = fetcher.buffer.ahead_s(self._playback.position_s)
        self._journal.fetched(transfer, ahead_s, self._now_s)

    def _begin(self, title: Title) -> None:
        """The manifest is understood."""
        self._playback.stop_at_s = min(title.end_s, self._watch_s)
        self._downloads = Downloads(
            self._config,
            title,
            requests=self._requests,
            meter=self._meter,
            tally=self._tally,
            journal=self._journal,
            client_data=self._client_data,
            carried_kbps=self._carried_kbps,
            holes=self._playback.holes,
        )

    def _failed(self, transfer: Transfer, failure: ev.ResponseFailed) -> None:
        self._journal.gave_up(transfer, failure.detail, self._now_s)
        self._requests.failed(transfer, failure, self._now_s)
        if self._config.cmcd_events_url and not failure.is_damage:
            status = failure.status or 0
            self._effects.emit(self._client_data.of_failure(transfer.sent_url, status, self._now_s))
        detail = f"{transfer.url}: {failure.detail}"
        if self._downloads is not None and transfer.track is not None:
            self._downloads.closed(transfer)
            failure = msgspec.structs.replace(failure, detail=detail)
            self._downloads.failed(transfer, failure, self._now_s)
            return
        try:
            may_open, title = self._opening.failed(transfer, failure.status, self._now_s)
        except RemoteProtocolError as error:
            self._end("failed", str(error))
            return
        if title is not None:
            self._begin(title)
        elif not may_open:
            self._end("failed", detail)

    def _act(self) -> None:
        """Do what the state calls for now; called after every event."""
        if not self._is_pressed or self._ended is not None:
            return
        self._give_up_overdue()
        self._opening.advance(self._now_s)
        self._steering.advance(self._now_s)
        downloads = self._downloads
        if downloads is None or self._ended is not None:
            return
        self._play_if_ready(downloads)
        self._fail_if_exhausted(downloads)
        if self._ended is None and not self._steering.is_holding(self._now_s):
            downloads.act(self._playback, self._now_s)
            self._play_if_ready(downloads)  # it may have turned out that nothing is left to fetch

    def _give_up_overdue(self) -> None:
        for transfer in self._requests.overdue(self._now_s):
            if self._ended is None:
                self._requests.cancel(transfer)
                detail = f"nothing came for {self._now_s - transfer.progress_s:.3g} s"
                failure = ev.ResponseFailed(request_id=transfer.request_id, detail=detail)
                self._failed(transfer, failure)

    def _play_if_ready(self, downloads: Downloads) -> None:
        playback = self._playback
        if playback.state not in ("startup", "stalled"):
            return
        end_s = min(downloads.end_s, playback.stop_at_s)
        ahead_s = playback.media_s(playback.holes.playable_end_s(end_s))
        is_rest = end_s >= playback.stop_at_s - TIME_S_TOLERANCE
        if ahead_s <= TIME_S_TOLERANCE and not is_rest:
            return
        is_startup = playback.state == "startup"
        goal_s = self._config.startup_buffer_s if is_startup else self._config.rebuffer_s
        # A goal that the buffer limit does not let it reach must not be waited for.
        is_full = downloads.is_full(playback.position_s)
        if ahead_s >= goal_s - TIME_S_TOLERANCE or is_rest or is_full:
            playback.play()
            self._journal.changed("playing", playback, self._now_s)

    def _fail_if_exhausted(self, downloads: Downloads) -> None:
        reason = downloads.exhaustion()
        if reason and self._playback.state != "playing":
            self._end("failed", reason)

    def _close(self, transfer: Transfer, *, is_complete: bool = False) -> None:
        self._requests.close(transfer, self._now_s, is_complete=is_complete)
        if self._downloads is not None and transfer.track is not None:
            self._downloads.closed(transfer)

    def _end(self, reason: EndReason, detail: str = "") -> None:
        if self._ended is not None:
            return
        self._ended, self._detail = reason, detail
        self._playback.end()
        self._requests.cancel_all(self._now_s)
        self._steering.close()
        self._journal.changed("ended", self._playback, self._now_s, detail)
        self._effects.emit(ev.SessionEnded(reason=reason, detail=detail))


def _useless(transfer: Transfer, detail: str) -> ev.ResponseFailed:
    """A whole answer that is not what was asked for."""
    return ev.ResponseFailed(request_id=transfer.request_id, detail=detail, is_damage=True)
