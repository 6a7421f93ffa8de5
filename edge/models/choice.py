"""Which of the registry's models to try next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.models.events import PASSING, Offer, Refusal, RefusedModel

REFUSED_MAX: Final = 200
PAUSES_MAX: Final = 8
"""Doublings of the pause after a failure that may pass: 300 s become 21 hours."""


class Choice:
    """The offers, what was refused for good, and what has to wait."""

    def __init__(self, kind: str, pause_s: float) -> None:
        self._kind = kind
        self._pause_s = pause_s
        self._offers: tuple[Offer, ...] | None = None
        self._refused: dict[tuple[str, str], RefusedModel] = {}
        self._waiting: dict[tuple[str, str], tuple[float, int]] = {}  # until when, how often

    @property
    def refused(self) -> tuple[RefusedModel, ...]:
        return tuple(self._refused.values())

    def recall(self, refused: Sequence[RefusedModel]) -> None:
        for one in refused[-REFUSED_MAX:]:
            self._refused[(one.model_id, one.manifest_sha256)] = one

    def offered(self, offers: Sequence[Offer]) -> None:
        self._offers = tuple(offer for offer in offers if offer.kind == self._kind)
        listed = {(offer.model_id, offer.manifest_sha256) for offer in self._offers}
        self._waiting = {key: one for key, one in self._waiting.items() if key in listed}

    def is_listed(self, model_id: str | None) -> bool:
        """False only once the registry has said what it has."""
        return self._offers is None or any(one.model_id == model_id for one in self._offers)

    def is_refused(self, model_id: str, manifest_sha256: str) -> bool:
        return (model_id, manifest_sha256) in self._refused

    def next(self, active_id: str | None, now_s: float) -> Offer | None:
        """The newest offer that may be tried, if it is newer than what is active."""
        offers = sorted(self._offers or (), key=lambda offer: -offer.order)
        for offer in offers:
            key = (offer.model_id, offer.manifest_sha256)
            if offer.model_id == active_id:
                return None
            if key in self._refused or self._waiting.get(key, (0.0, 0))[0] > now_s:
                continue
            return offer
        return None

    def refuse(
        self, model_id: str, manifest_sha256: str, reason: Refusal, detail: str, now_s: float
    ) -> None:
        key = (model_id, manifest_sha256)
        if reason in PASSING:
            times = self._waiting.get(key, (0.0, 0))[1]
            pause_s = self._pause_s * 2.0 ** min(times, PAUSES_MAX)
            self._waiting[key] = (now_s + pause_s, times + 1)
            return
        self._refused[key] = RefusedModel(
            model_id=model_id, manifest_sha256=manifest_sha256, reason=reason, detail=detail[:300]
        )
        while len(self._refused) > REFUSED_MAX:
            del self._refused[next(iter(self._refused))]

    def deadline_s(self, now_s: float) -> float | None:
        """When something that waits may be tried again."""
        return min((until for until, _ in self._waiting.values() if until > now_s), default=None)
