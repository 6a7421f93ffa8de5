"""The registry's models on this edge: which are here, which is on its way, which may be tried."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edge.effects import Effect
from edge.models.choice import Choice
from edge.models.effects import FetchModel
from edge.models.events import HeldModel, Offer, Refusal, RefusedModel
from nearcast.machine import EffectQueue


class Supply:
    """Brings models, one at a time."""

    def __init__(self, choice: Choice, effects: EffectQueue[Effect]) -> None:
        self._choice = choice
        self._effects = effects
        self._held: dict[str, HeldModel] = {}
        self._fetching: Offer | None = None

    @property
    def fetching_id(self) -> str | None:
        return self._fetching.model_id if self._fetching is not None else None

    @property
    def refused(self) -> tuple[RefusedModel, ...]:
        """Not to be tried again."""
        return self._choice.refused

    def found(self, held: Sequence[HeldModel], refused: Sequence[RefusedModel]) -> None:
        """What is left of the node's last run."""
        self._held = {one.model_id: one for one in held}
        self._choice.recall(refused)

    def offered(self, offers: Sequence[Offer]) -> None:
        """The registry's list, whole."""
        self._choice.offered(offers)

    def is_listed(self, model_id: str | None) -> bool:
        """False only once the registry has said what it has."""
        return self._choice.is_listed(model_id)

    def usable(self, model_id: str | None) -> HeldModel | None:
        """This model, if it is here and good."""
        held = self._held.get(model_id) if model_id is not None else None
        if held is None or self._choice.is_refused(held.model_id, held.manifest_sha256):
            return None
        return held

    def fetch(self, active_id: str | None, now_s: float) -> None:
        """Have the next model fetched, if one is worth trying and none is on its way."""
        if self._fetching is not None:
            return
        self._fetching = self._choice.next(active_id, now_s)
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
        self._choice.refuse(model_id, manifest_sha256, reason, detail, now_s)

    def keep(self, model_ids: Collection[str]) -> None:
        """All others are being let go."""
        self._held = {name: held for name, held in self._held.items() if name in model_ids}

    def deadline_s(self, now_s: float) -> float | None:
        """When something that waits may be tried again."""
        return self._choice.deadline_s(now_s)
