"""Abandonment applied to a track: see abr.abandon for the rule."""

from __future__ import annotations

from abr.abandon import Progress, late_s, lower_rung
from abr.config import AbandonConfig
from abr.fetcher import Fetcher
from abr.playback import TIME_S_TOLERANCE, Playback
from abr.throughput import ThroughputMeter


class Rescue:
    """Watches the segment under way. Before playback starts and in a stall, when nothing is left to
    protect, a segment may take as long as it plays."""

    def __init__(self, config: AbandonConfig, meter: ThroughputMeter) -> None:
        self._config = config
        self._meter = meter

    def rung(self, fetcher: Fetcher, playback: Playback, now_s: float) -> int | None:
        """The rung to fetch instead of what is under way, or None to go on."""
        progress = self._progress(fetcher)
        if progress is None or now_s < self._grace_end_s(progress) - TIME_S_TOLERANCE:
            return None
        return lower_rung(
            progress,
            now_s,
            patience_s=_patience_s(fetcher, playback),
            sizes_bytes=fetcher.track.sizes_bytes(fetcher.buffer.end_s),
            ttfb_s=self._meter.ttfb_s(),
        )

    def due_s(self, fetcher: Fetcher, playback: Playback, now_s: float) -> float | None:
        """When to look again if no more bytes come; None when that would tell nothing new."""
        progress = self._progress(fetcher)
        if progress is None:
            return None
        due_s = late_s(
            progress,
            now_s,
            patience_s=_patience_s(fetcher, playback),
            is_shrinking=playback.state == "playing",
        )
        # A little later, when it is late beyond doubt.
        due_s = max(due_s + 2 * TIME_S_TOLERANCE, self._grace_end_s(progress))
        return due_s if due_s > now_s else None

    def _grace_end_s(self, progress: Progress) -> float:
        return progress.sent_s + self._config.grace_s

    def _progress(self, fetcher: Fetcher) -> Progress | None:
        transfer = fetcher.transfer
        if not self._config.is_on or fetcher.abandon_count >= self._config.count_max:
            return None
        if transfer is None or transfer.kind != "segment" or transfer.rung == 0:
            return None
        if transfer.first_s is None:
            return None  # nothing to extrapolate from; the timeout watches over it
        size_bytes: float | None = transfer.size_bytes
        if size_bytes is None:
            size_bytes = float(fetcher.track.sizes_bytes(fetcher.buffer.end_s)[transfer.rung])
        return Progress(
            rung=transfer.rung,
            sent_s=transfer.sent_s,
            first_s=transfer.first_s,
            first_bytes=transfer.first_bytes,
            received_bytes=transfer.received_bytes,
            size_bytes=size_bytes,
        )


def _patience_s(fetcher: Fetcher, playback: Playback) -> float:
    if playback.state == "playing":
        return fetcher.buffer.ahead_s(playback.position_s)
    transfer = fetcher.transfer
    return transfer.segment.duration_s if transfer and transfer.segment else 0.0
