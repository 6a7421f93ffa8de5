"""Abandonment applied to a track: the controller is asked about the segment under way."""

from __future__ import annotations

import msgspec
import numpy as np

from abr.config import AbandonConfig
from abr.fetcher import Fetcher
from abr.playback import TIME_S_TOLERANCE, Playback
from abr.transfer import Transfer
from abr.view import ASK_AGAIN, GO_ON, Attempt, Controller
from nearcast.media import TrackKind
from nearcast.units import bits_from_bytes

LOOK_S = 0.25
"""While nothing comes the controller is asked so often: its answer may change with time alone."""
ASK_AGAIN_COUNT_MAX = 100
"""Of one segment; a rung that the controller names is final sooner (AbandonConfig.count_max)."""


class _Look(msgspec.Struct, frozen=True):
    request_id: int
    at_s: float
    received_bytes: int


class Rescue:
    """Watches the segment under way, from `grace_s` after its request on: asks with every event
    that brings bytes, and every LOOK_S."""

    def __init__(self, config: AbandonConfig, controller: Controller) -> None:
        self._config = config
        self._controller = controller
        self._looks: dict[TrackKind, _Look] = {}

    def rung(self, fetcher: Fetcher, playback: Playback, now_s: float) -> int:
        """The rung to fetch instead of what is under way, GO_ON, or ASK_AGAIN."""
        transfer = self._watched(fetcher)
        if transfer is None or transfer.first_s is None:
            return GO_ON
        last = self._last_look(fetcher.track.kind, transfer)
        is_new = last is None or transfer.received_bytes > last.received_bytes
        if now_s < self._grace_end_s(transfer) or (
            now_s < self._due_s(transfer, last) and not is_new
        ):
            return GO_ON
        self._looks[fetcher.track.kind] = _Look(transfer.request_id, now_s, transfer.received_bytes)
        rung = int(self._controller.abandon(_attempt(fetcher, transfer, playback, now_s))[0])
        count_max = ASK_AGAIN_COUNT_MAX if rung == ASK_AGAIN else self._config.count_max
        return rung if fetcher.abandon_count < count_max else GO_ON

    def due_s(self, fetcher: Fetcher) -> float | None:
        """When to look again if no more bytes come; None when that would tell nothing new."""
        transfer = self._watched(fetcher)
        if transfer is None or transfer.first_s is None:
            return None  # nothing to extrapolate from; the timeout watches over it
        last = self._last_look(fetcher.track.kind, transfer)
        return self._due_s(transfer, last) + TIME_S_TOLERANCE

    def _last_look(self, track: TrackKind, transfer: Transfer) -> _Look | None:
        look = self._looks.get(track)
        return look if look is not None and look.request_id == transfer.request_id else None

    def _due_s(self, transfer: Transfer, last: _Look | None) -> float:
        return self._grace_end_s(transfer) if last is None else last.at_s + LOOK_S

    def _grace_end_s(self, transfer: Transfer) -> float:
        return transfer.sent_s + self._config.grace_s

    def _watched(self, fetcher: Fetcher) -> Transfer | None:
        transfer = fetcher.transfer
        if not self._config.is_on or transfer is None or transfer.kind != "segment":
            return None
        return transfer if transfer.rung > 0 else None


def _attempt(fetcher: Fetcher, transfer: Transfer, playback: Playback, now_s: float) -> Attempt:
    durations_s, sizes_bits, _, _ = fetcher.track.upcoming(fetcher.buffer.end_s, horizon=1)
    if transfer.size_bytes is not None:
        sizes_bits[0, transfer.rung] = bits_from_bytes(transfer.size_bytes)
    assert transfer.first_s is not None
    return Attempt(
        session=np.zeros(1, dtype=np.int64),
        ladder_kbps=fetcher.track.ladder_kbps,
        rung=np.array([transfer.rung], dtype=np.int64),
        elapsed_s=np.array([now_s - transfer.sent_s]),
        ttfb_s=np.array([transfer.first_s - transfer.sent_s]),
        received_bits=np.array([bits_from_bytes(transfer.received_bytes)]),
        sizes_bits=sizes_bits,
        duration_s=durations_s,
        buffer_s=np.array([fetcher.buffer.ahead_s(playback.position_s)]),
        is_hit=np.array([transfer.is_from_store]),
        is_waiting=np.array([playback.state != "playing"]),
    )
