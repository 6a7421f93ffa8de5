"""All tracks of one title: what each fetches next, and when."""

from __future__ import annotations

from collections.abc import Iterator

from abr.audio import AudioChoice
from abr.buffer import buffered_end_s
from abr.client_data import ClientData
from abr.config import PlayerConfig
from abr.events import RequestKind, ResponseFailed
from abr.fetcher import Fetcher
from abr.foresight import foreseen
from abr.holes import Holes
from abr.hosts import is_of_host
from abr.journal import Journal
from abr.playback import Playback
from abr.requests import Requests
from abr.rescue import Rescue
from abr.selection import RungSelector
from abr.tally import Tally
from abr.throughput import ThroughputMeter
from abr.timeline import ForecastMark
from abr.title import ALIGNMENT_S_TOLERANCE, Title
from abr.transfer import Transfer
from abr.view import ASK_AGAIN, GO_ON
from nearcast.media import Segment


class Downloads:
    """The second stage of a title. All requests with a track are its own."""

    def __init__(
        self,
        config: PlayerConfig,
        title: Title,
        *,
        requests: Requests,
        meter: ThroughputMeter,
        tally: Tally,
        journal: Journal,
        client_data: ClientData,
        carried_kbps: float | None,
        holes: Holes,
    ) -> None:
        self.title = title
        self._requests = requests
        self._meter = meter
        self._tally = tally
        self._journal = journal
        self._client_data = client_data
        self._carried_kbps = carried_kbps
        self._selector = RungSelector(config, meter)
        self._rescue = Rescue(config.abandon, self._selector.controller)
        self._told_stall_count = 0
        self._failover_s = config.retry.failover_s
        tracks = [title.main]
        self._audio: AudioChoice | None = None
        if title.audio_choices is not None:
            rung = title.choose_audio(meter.next_kbps(), config.audio_share)
            self._audio = AudioChoice(title.audio_choices, rung)
            tracks.append(self._audio.track())
        hosts = requests.hosts
        self._fetchers = [
            Fetcher(each, config.retry, config.buffer_s_max, hosts=hosts, holes=holes)
            for each in tracks
        ]

    def foreseen(self, at_s: float) -> ForecastMark | None:
        """What the controller expected of the segment that it decided on last, at `at_s`."""
        return foreseen(self._selector.controller, at_s)

    @property
    def main(self) -> Fetcher:
        """The track that adapts."""
        return self._fetchers[0]

    @property
    def end_s(self) -> float:
        """The position up to which every track is here."""
        return buffered_end_s((each.buffer for each in self._fetchers), self.title.end_s)

    def is_full(self, position_s: float) -> bool:
        """Nothing more can be fetched before playback goes on."""
        return all(each.buffer.is_complete or each.is_full(position_s) for each in self._fetchers)

    def exhaustion(self) -> str:
        """Why a track cannot go on, once there is nothing to play; empty if all can."""
        return next((each.exhaustion for each in self._fetchers if each.exhaustion), "")

    def failed(self, transfer: Transfer, failure: ResponseFailed, now_s: float) -> None:
        """A request with a track failed."""
        fetcher = self.of(transfer)
        if fetcher.failed(transfer, failure, now_s):
            self._tally.skipped_count += 1
        elif self._audio and fetcher is not self.main and fetcher.is_waiting(now_s):
            # The host answers, but has nothing of use: another rendition may be whole.
            track = None if is_of_host(failure) else self._audio.other(fetcher.buffer.end_s)
            if track is not None:
                fetcher.go_on_with(track)

    def of(self, transfer: Transfer) -> Fetcher:
        """The track a request belongs to."""
        return next(each for each in self._fetchers if each.track.kind == transfer.track)

    def closed(self, transfer: Transfer) -> None:
        """A request has ended, one way or another."""
        fetcher = self.of(transfer)
        if transfer.kind == "init":
            fetcher.init_transfer = None
        elif fetcher.transfer is transfer:
            fetcher.transfer = None

    def due_s(self, playback: Playback, now_s: float) -> Iterator[float | None]:
        """When each track wants to act of its own accord."""
        for fetcher in self._fetchers:
            if fetcher.transfer is not None:
                yield self._rescue.due_s(fetcher)
            elif fetcher.is_waiting(now_s):
                yield fetcher.setbacks.wait_until_s
            elif not fetcher.buffer.is_complete and fetcher.is_full(playback.position_s):
                yield playback.reaches_s(fetcher.room_at_s())

    def act(self, playback: Playback, now_s: float) -> None:
        """Give up what is too late, ask for what comes next."""
        for fetcher in self._fetchers:
            self._abandon_if_late(fetcher, playback, now_s)
            self._fetch_next(fetcher, playback, now_s)

    def _abandon_if_late(self, fetcher: Fetcher, playback: Playback, now_s: float) -> None:
        rung = self._rescue.rung(fetcher, playback, now_s)
        if rung == GO_ON or fetcher.transfer is None:
            return
        is_open = rung == ASK_AGAIN
        detail = "too late" if is_open else f"too late, fetched at rung {rung} instead"
        self._journal.gave_up(fetcher.transfer, detail, now_s)
        self._requests.cancel(fetcher.transfer)
        self._requests.close(fetcher.transfer, now_s)
        self._tally.abandon_count += 1
        fetcher.abandoned(None if is_open else rung)

    def _fetch_next(self, fetcher: Fetcher, playback: Playback, now_s: float) -> None:
        if fetcher.buffer.is_complete or fetcher.is_lost or fetcher.is_waiting(now_s):
            return
        rung = fetcher.rung_under_way
        segment = None
        if rung is None:
            if fetcher.is_full(playback.position_s) or self._is_ahead_of_main(fetcher):
                return
            if fetcher.planned_rung is None:
                chosen = self._choose(fetcher, playback, now_s)
                fetcher.planned_rung = fetcher.nearest_allowed(chosen, now_s)
            rung = fetcher.planned_rung
            segment = fetcher.due_segment(rung)
            if segment is None:  # this rung ends earlier than the one before did
                fetcher.buffer.is_complete = True
                return
        init = fetcher.missing_init(rung)
        if init is not None and fetcher.init_transfer is None:
            fetcher.init_transfer = self._send(fetcher, "init", init, rung, playback, now_s)
        if segment is not None:
            fetcher.transfer = self._send(fetcher, "segment", segment, rung, playback, now_s)

    def _is_ahead_of_main(self, fetcher: Fetcher) -> bool:
        """Audio that is a segment ahead waits: on a slow link it would only delay the video."""
        lead_s = fetcher.buffer.end_s - self.main.buffer.end_s
        return not self.main.buffer.is_complete and lead_s > ALIGNMENT_S_TOLERANCE

    def _choose(self, fetcher: Fetcher, playback: Playback, now_s: float) -> int:
        if fetcher.forced_rung is not None:
            return fetcher.forced_rung
        others_kbps = sum(float(e.track.ladder_kbps[0]) for e in self._fetchers if e is not fetcher)
        return self._selector.choose(
            fetcher, playback, now_s, carried_kbps=self._carried_kbps, others_kbps=others_kbps
        )

    def _send(
        self,
        fetcher: Fetcher,
        kind: RequestKind,
        segment: Segment,
        rung: int,
        playback: Playback,
        now_s: float,
    ) -> Transfer:
        track = fetcher.track
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
        ahead_s = fetcher.buffer.ahead_s(playback.position_s)
        return self._requests.send_media(
            kind,
            track.kind,
            segment,
            rung,
            cmcd,
            now_s,
            # Should the host not answer, there must be time to ask another.
            can_probe=ahead_s > 2.0 * self._failover_s,
            partial=fetcher.partial if kind == "segment" else None,
            ahead_s=ahead_s,
        )
