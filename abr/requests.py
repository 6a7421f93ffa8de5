"""The requests of one title: sent, watched, closed, counted."""

from __future__ import annotations

from collections.abc import Iterator

from abr import events as ev
from abr.answers import Verdict
from abr.config import PlayerConfig
from abr.hosts import Hosts
from abr.playback import TIME_S_TOLERANCE
from abr.tally import Tally
from abr.throughput import ThroughputMeter
from abr.transfer import Partial, Transfer
from nearcast.cmcd import Cmcd
from nearcast.machine import EffectQueue
from nearcast.media import ByteRange, Segment, TrackKind

FAILOVER_S_MIN = 2.0
"""A host that is silent is not left sooner, however little is buffered: mobile links are silent
that long, and all hosts are behind them."""


class Requests:
    """Turns wishes into effects and answers into what meter and tally need."""

    def __init__(
        self,
        effects: EffectQueue[ev.Effect],
        request_ids: Iterator[int],
        meter: ThroughputMeter,
        tally: Tally,
        hosts: Hosts,
        config: PlayerConfig,
    ) -> None:
        self.hosts = hosts
        self._effects = effects
        self._request_ids = request_ids
        self._meter = meter
        self._tally = tally
        self._timeout_s = config.request_timeout_s
        self._failover_s = min(config.retry.failover_s, config.request_timeout_s)
        self._transfers: dict[int, Transfer] = {}

    def send_text(
        self,
        kind: ev.RequestKind,
        url: str,
        cmcd: Cmcd,
        now_s: float,
        byte_range: ByteRange | None = None,
    ) -> Transfer:
        """Ask for a manifest or playlist, or the part of a media file that is its index."""
        part = None
        if byte_range is not None:
            part = Segment(url=url, start_s=0.0, duration_s=0.0, byte_range=byte_range)
        options = self.hosts.options(url)
        transfer = Transfer(
            next(self._request_ids),
            kind,
            url,
            now_s,
            segment=part,
            options=options,
            sent_url=self.hosts.pick(options, now_s, can_probe=False),
        )
        transfer.failover_s = self._failover_s
        return self._send(transfer, cmcd)

    def send_media(
        self,
        kind: ev.RequestKind,
        track: TrackKind,
        segment: Segment,
        rung: int,
        cmcd: Cmcd,
        now_s: float,
        *,
        can_probe: bool = False,
        partial: Partial | None = None,
        ahead_s: float = float("inf"),
    ) -> Transfer:
        """Ask for a segment, or an init segment; of `partial` the rest, at whichever place: what
        its validator names is the same everywhere. `ahead_s` is in the buffer."""
        options = self.hosts.options(segment.url)
        sent_url = self.hosts.pick(options, now_s, can_probe=can_probe)
        transfer = Transfer(
            next(self._request_ids),
            kind,
            segment.url,
            now_s,
            track=track,
            rung=rung,
            segment=segment,
            options=options,
            sent_url=sent_url,
            partial=partial if partial and partial.url in options else None,
        )
        transfer.pathway = self.hosts.pathway_of(sent_url)
        transfer.wanted_pathway = self.hosts.pathway_of(options[0])
        # Half of what is there is for finding out, the other half for fetching it elsewhere.
        transfer.failover_s = min(self._failover_s, max(FAILOVER_S_MIN, ahead_s / 2.0))
        return self._send(transfer, cmcd)

    def _send(self, transfer: Transfer, cmcd: Cmcd) -> Transfer:
        self._transfers[transfer.request_id] = transfer
        self._tally.sent(transfer)
        transfer.gap_s = self._meter.asked(transfer.sent_s)
        self._effects.emit(
            ev.SendRequest(
                request_id=transfer.request_id,
                kind=transfer.kind,
                url=transfer.sent_url,
                byte_range=transfer.asked,
                cmcd=cmcd,
                want_text=transfer.track is None,
                validator=transfer.partial.validator if transfer.partial else None,
            )
        )
        return transfer

    def find(self, event: ev.Event) -> Transfer | None:
        """The request an event is about; None when it was cancelled meanwhile."""
        return self._transfers.get(getattr(event, "request_id", -1))

    def started(self, transfer: Transfer, event: ev.ResponseStarted, now_s: float) -> Verdict:
        verdict = transfer.started(self._meter, now_s, event)
        is_moved = transfer.kind == "playlist" and event.url != transfer.sent_url
        if transfer.kind == "manifest" or is_moved:
            transfer.url = event.url  # what it says is relative to where it was found
        return verdict

    def arrived(self, transfer: Transfer, received_bytes: int, now_s: float) -> None:
        transfer.arrived(self._meter, received_bytes, now_s)

    def close(self, transfer: Transfer, now_s: float, *, is_complete: bool = False) -> None:
        """It has ended, one way or another."""
        del self._transfers[transfer.request_id]
        transfer.finish(self._meter, now_s)
        self._meter.closed(now_s)
        self._tally.add(transfer, is_complete=is_complete)
        if is_complete:
            self.hosts.succeeded(transfer.sent_url, transfer.options, now_s)
            if transfer.kind == "manifest":
                self.hosts.found_at(transfer.url)

    def failed(self, transfer: Transfer, failure: ev.ResponseFailed, now_s: float) -> None:
        """It has ended, and brought nothing of use. What it tells of the network counts, unless
        that tells of its host: bytes of an error page, or a silence that others do not share."""
        del self._transfers[transfer.request_id]
        is_silent = now_s - transfer.progress_s > transfer.failover_s - TIME_S_TOLERANCE
        has_others = len(transfer.options) > 1
        if not failure.is_damage and not (is_silent and has_others):
            transfer.finish(self._meter, now_s)
        self._meter.closed(now_s)
        self._tally.add(transfer, is_complete=False)
        self._tally.failed(transfer)
        goes_on = transfer.has_advanced and transfer.broken() is not None
        if not goes_on or failure.is_damage or is_silent:
            self.hosts.failed(transfer.sent_url, failure, now_s)

    def cancel(self, transfer: Transfer) -> None:
        """Let go of a request under way; close it next."""
        self._effects.emit(ev.CancelRequest(request_id=transfer.request_id))

    def cancel_all(self, now_s: float) -> None:
        for transfer in list(self._transfers.values()):
            self.cancel(transfer)
            self.close(transfer, now_s)

    def overdue(self, now_s: float) -> list[Transfer]:
        """Those that have brought nothing for too long."""
        return [
            each
            for each in self._transfers.values()
            if each.progress_s <= now_s - self._patience_s(each, now_s) + TIME_S_TOLERANCE
        ]

    def due_s(self, now_s: float) -> float | None:
        """When the next one is overdue."""
        transfers = self._transfers.values()
        due = (each.progress_s + self._patience_s(each, now_s) for each in transfers)
        return min(due, default=None)

    def _patience_s(self, transfer: Transfer, now_s: float) -> float:
        has_others = len(transfer.options) > 1 and self.hosts.has_fresh(
            transfer.options, now_s, but=transfer.sent_url
        )
        return transfer.failover_s if has_others else self._timeout_s
