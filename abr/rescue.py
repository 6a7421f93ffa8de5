"""Abandonment applied to a track: the controller is asked about the segment under way."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from abr.config import AbandonConfig
from abr.fetcher import Fetcher
from abr.playback import TIME_S_TOLERANCE, Playback
from abr.transfer import Transfer
from abr.view import ASK_AGAIN, ASK_AGAIN_LIVE_COUNT_MAX, GO_ON, Attempt, Controller, Patient
from nearcast.media import TrackKind
from nearcast.units import bits_from_bytes

LOOK_S = 0.25
"""While nothing comes the controller is asked so often: its answer may change with time alone."""
PATIENCE_S_MIN = 0.01
"""Nobody is asked sooner after saying for how long nobody needs to ask."""


class _Look(msgspec.Struct, frozen=True):
    request_id: int
    received_bytes: int
    is_waiting: bool
    due_s: float
    """Of the next one, if no more bytes come."""
    is_patient: bool
    """And none sooner if some do."""


class Rescue:
    """Watches the segment under way, from `grace_s` after its request on: asks with every event
    that brings bytes, and every LOOK_S; or, where the controller says for how long it goes on
    whatever comes (abr.view.Patient), when that is over or playback stops or begins.

    So often may it have the choice made anew; a rung that it names is final sooner
    (AbandonConfig.count_max)."""

    def __init__(self, config: AbandonConfig, controller: Controller) -> None:
        self._config = config
        self._controller = controller
        self._patient = controller if isinstance(controller, Patient) else None
        self._looks: dict[TrackKind, _Look] = {}

    def rung(self, fetcher: Fetcher, playback: Playback, now_s: float) -> int:
        """The rung to fetch instead of what is under way, GO_ON, or ASK_AGAIN."""
        transfer = self._watched(fetcher)
        if transfer is None or transfer.first_s is None:
            return GO_ON
        kind, is_waiting = fetcher.track.kind, playback.state != "playing"
        if not self._is_time(transfer, self._last_look(kind, transfer), now_s, is_waiting):
            return GO_ON
        attempt = _attempt(fetcher, transfer, playback, now_s)
        patience_s = 0.0 if self._patient is None else float(self._patient.patience_s(attempt)[0])
        self._looks[kind] = _Look(
            request_id=transfer.request_id,
            received_bytes=transfer.received_bytes,
            is_waiting=is_waiting,
            due_s=now_s + (max(patience_s, PATIENCE_S_MIN) if patience_s > 0 else LOOK_S),
            is_patient=patience_s > 0,
        )
        if patience_s > 0:
            return GO_ON
        rung = int(self._controller.abandon(attempt)[0])
        count_max = ASK_AGAIN_LIVE_COUNT_MAX if rung == ASK_AGAIN else self._config.count_max
        return rung if fetcher.abandon_count < count_max else GO_ON

    def _is_time(
        self, transfer: Transfer, last: _Look | None, now_s: float, is_waiting: bool
    ) -> bool:
        if now_s < self._grace_end_s(transfer):
            return False
        if last is None or now_s >= last.due_s or is_waiting != last.is_waiting:
            return True
        return not last.is_patient and transfer.received_bytes > last.received_bytes

    def due_s(self, fetcher: Fetcher) -> float | None:
        """When to look again if no more bytes come; None when that would tell nothing new."""
        transfer = self._watched(fetcher)
        if transfer is None or transfer.first_s is None:
            return None  # nothing to extrapolate from; the timeout watches over it
        last = self._last_look(fetcher.track.kind, transfer)
        due_s = self._grace_end_s(transfer) if last is None else last.due_s
        return due_s + TIME_S_TOLERANCE if math.isfinite(due_s) else None

    def _last_look(self, track: TrackKind, transfer: Transfer) -> _Look | None:
        look = self._looks.get(track)
        return look if look is not None and look.request_id == transfer.request_id else None

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
