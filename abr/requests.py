"""The requests of one title: sent, watched, closed, counted."""

from __future__ import annotations

from collections.abc import Iterator

from abr import events as ev
from abr.playback import TIME_S_TOLERANCE
from abr.tally import Tally
from abr.throughput import ThroughputMeter
from abr.transfer import Transfer
from nearcast.cmcd import Cmcd
from nearcast.machine import EffectQueue
from nearcast.media import ByteRange, Segment, TrackKind


class Requests:
    """Turns wishes into effects and answers into what meter and tally need."""

    def __init__(
        self,
        effects: EffectQueue[ev.Effect],
        request_ids: Iterator[int],
        meter: ThroughputMeter,
        tally: Tally,
        timeout_s: float,
    ) -> None:
        self._effects = effects
        self._request_ids = request_ids
        self._meter = meter
        self._tally = tally
        self._timeout_s = timeout_s
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
        transfer = Transfer(next(self._request_ids), kind, url, now_s, segment=part)
        return self._send(transfer, cmcd)

    def send_media(
        self,
        kind: ev.RequestKind,
        track: TrackKind,
        segment: Segment,
        rung: int,
        cmcd: Cmcd,
        now_s: float,
    ) -> Transfer:
        """Ask for a segment, or an init segment."""
        request_id = next(self._request_ids)
        transfer = Transfer(
            request_id, kind, segment.url, now_s, track=track, rung=rung, segment=segment
        )
        return self._send(transfer, cmcd)

    def _send(self, transfer: Transfer, cmcd: Cmcd) -> Transfer:
        self._transfers[transfer.request_id] = transfer
        transfer.gap_s = self._meter.asked(transfer.sent_s)
        self._effects.emit(
            ev.SendRequest(
                request_id=transfer.request_id,
                kind=transfer.kind,
                url=transfer.url,
                byte_range=transfer.segment.byte_range if transfer.segment else None,
                cmcd=cmcd,
                want_text=transfer.track is None,
            )
        )
        return transfer

    def find(self, event: ev.Event) -> Transfer | None:
        """The request an event is about; None when it was cancelled meanwhile."""
        return self._transfers.get(getattr(event, "request_id", -1))

    def started(self, transfer: Transfer, event: ev.ResponseStarted, now_s: float) -> None:
        transfer.started(
            self._meter, now_s, size_bytes=event.size_bytes, cache_status=event.cache_status
        )
        if transfer.kind == "manifest":
            transfer.url = event.url  # what it says is relative to where it was found

    def arrived(self, transfer: Transfer, received_bytes: int, now_s: float) -> None:
        transfer.arrived(self._meter, received_bytes, now_s)

    def close(self, transfer: Transfer, now_s: float, *, is_complete: bool = False) -> None:
        """It has ended, one way or another."""
        del self._transfers[transfer.request_id]
        transfer.finish(self._meter, now_s)
        self._meter.closed(now_s)
        self._tally.add(transfer, is_complete=is_complete)

    def cancel(self, transfer: Transfer) -> None:
        """Let go of a request under way; close it next."""
        self._effects.emit(ev.CancelRequest(request_id=transfer.request_id))

    def cancel_all(self, now_s: float) -> None:
        for transfer in list(self._transfers.values()):
            self.cancel(transfer)
            self.close(transfer, now_s)

    def overdue(self, now_s: float) -> list[Transfer]:
        """Those that have brought nothing for too long."""
        limit_s = now_s - self._timeout_s + TIME_S_TOLERANCE
        return [each for each in self._transfers.values() if each.progress_s <= limit_s]

    def due_s(self) -> float | None:
        """When the next one is overdue."""
        oldest_s = min((each.progress_s for each in self._transfers.values()), default=None)
        return None if oldest_s is None else oldest_s + self._timeout_s
