"""The registry's models on this edge: which are here, which is on its way, which may be tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from edge.effects import Effect
from edge.models.effects import FetchModel
from edge.models.events import PASSING, HeldModel, Offer, Refusal, RefusedModel
from nearcast.machine import EffectQueue

REFUSED_MAX: Final = 200
PAUSES_MAX: Final = 8
"""Doublings of the pause after a failure that may pass: 300 s become 21 hours."""

Key = tuple[str, str]
"""A model's id, and the checksum of its manifest: published anew, it is another one."""


class Supply:
    """Brings models of one kind, one at a time, the newest first."""

    def __init__(self, kind: str, pause_s: float, effects: EffectQueue[Effect]) -> None:
        """`pause_s`: after the first failure that may pass."""
        self._kind = kind
        self._pause_s = pause_s
        self._effects = effects
        self._offers: tuple[Offer, ...] | None = None
        self._held: dict[str, HeldModel] = {}
        self._fetching: Offer | None = None
        self._refused: dict[Key, RefusedModel] = {}
        self._waiting: dict[Key, tuple[float, int]] = {}  # until when, how often

    @property
    def fetching_id(self) -> str | None:
        return self._fetching.model_id if self._fetching is not None else None

    @property
    def refused(self) -> tuple[RefusedModel, ...]:
        """Not to be tried again."""
        return tuple(self._refused.values())

    def found(self, held: Sequence[HeldModel], refused: Sequence[RefusedModel]) -> None:
        """What is left of the node's last run."""
        self._held = {one.model_id: one for one in held}
        for one in refused[-REFUSED_MAX:]:
            self._refused[(one.model_id, one.manifest_sha256)] = one

    def offered(self, offers: Sequence[Offer]) -> None:
        """The registry's list, whole."""
        self._offers = tuple(offer for offer in offers if offer.kind == self._kind)
        listed = {(offer.model_id, offer.manifest_sha256) for offer in self._offers}
        self._waiting = {key: one for key, one in self._waiting.items() if key in listed}

    def is_listed(self, model_id: str | None) -> bool:
        """False only once the registry has said what it has."""
        return self._offers is None or any(one.model_id == model_id for one in self._offers)

    def usable(self, model_id: str | None) -> HeldModel | None:
        """This model, if it is here and good."""
        held = self._held.get(model_id) if model_id is not None else None
        if held is None or (held.model_id, held.manifest_sha256) in self._refused:
            return None
        return held

    def fetch(self, active_id: str | None, now_s: float) -> None:
        """Have the next model fetched, if one is worth trying and none is on its way."""
        if self._fetching is not None:
            return
        self._fetching = self._next(active_id, now_s)
        if self._fetching is not None:
            self._effects.emit(FetchModel(offer=self._fetching))

    def fetched(self, held: HeldModel) -> bool:
        """A model is here. Whether it was waited for."""
        if self.fetching_id != held.model_id:
            return False
        self._fetching = None
        self._held[held.model_id] = held
        return True

    def take_failed(self) -> Offer | None:
        """What was on its way cannot be had."""
        offer, self._fetching = self._fetching, None
        return offer

    def refuse(
        self, model_id: str, manifest_sha256: str, reason: Refusal, detail: str, now_s: float
    ) -> None:
        """Do not try it again, or not soon."""
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

    def keep(self, model_ids: Collection[str]) -> None:
        """All others are being let go."""
        self._held = {name: held for name, held in self._held.items() if name in model_ids}

    def deadline_s(self, now_s: float) -> float | None:
        """When something that waits may be tried again."""
        return min((until for until, _ in self._waiting.values() if until > now_s), default=None)

    def _next(self, active_id: str | None, now_s: float) -> Offer | None:
        """The newest offer that may be tried, if it is newer than what is active."""
        for offer in sorted(self._offers or (), key=lambda offer: -offer.order):
            key = (offer.model_id, offer.manifest_sha256)
            if offer.model_id == active_id:
                return None
            if key not in self._refused and self._waiting.get(key, (0.0, 0))[0] <= now_s:
                return offer
        return None
