"""What the part that keeps models is told and what it wants done: edge.events, continued.

A model runs as a child process, known by its `run_id`: `StartModel` -> `ModelReady` (verified and
tried on this machine) or `ModelUnusable`; then it answers every question, beside the others. Whose
answers count says `SwitchModel`, which the driver confirms with `ModelChanged`; the others'
come as `ShadowPredicted`. `ModelLost`: the process died or hangs; unless `is_final`, the driver
starts it anew and says `ModelReady` again. `StopModel` ends a run without an event.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from edge.events import Event
from nearcast.model_index import OfferedFile

Refusal = Literal[
    "unreachable",
    "disk",
    "truncated",
    "oversized",
    "unreadable",
    "changed",
    "unsigned",
    "untrusted",
    "revoked",
    "forged",
    "schema",
    "graph",
    "golden",
    "memory",
    "failed",
    "unusable",
    "slow",
    "errors",
    "worse",
    "withdrawn",
]
"""Why a model does not serve. changed: the bytes
are not those its manifest names. untrusted, revoked: signed by nobody who is trusted. graph: it
has operators, sizes or files that no model of ours needs. golden: this machine computes something
else than the trainer's. failed: its process died or hung. slow, errors, worse: as it turned out."""


def refusal(word: str) -> Refusal:
    """The reason that is called so, as `nearcast.errors.ModelError.reason` says it; one that is not
    known here is counted as `unusable`."""
    for known in get_args(Refusal):
        if word == known:
            reason: Refusal = known
            return reason
    return "unusable"


PASSING: frozenset[Refusal] = frozenset(
    {
        "unreachable",
        "disk",
        "truncated",
        "oversized",
        "unreadable",
        "changed",
        "unsigned",
        "untrusted",
        "revoked",
        "forged",
    }
)
"""What can be put right without another model, at the origin or in the settings: tried again, each
time after a longer pause. The rest is remembered."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the registry of the origin lists; of two the one with the larger `order` is
    the newer."""

    kind: str
    model_id: str
    url: str
    manifest_sha256: str
    order: int
    files: dict[str, OfferedFile] = msgspec.field(default_factory=dict)
    """Manifest and signature, as they are listed; what the others are says the manifest."""


class RefusedModel(msgspec.Struct, frozen=True, kw_only=True):
    """Not to be tried again. The same name with another manifest is another model."""

    model_id: str
    manifest_sha256: str
    reason: str
    detail: str


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What outlives the node, in a small file beside the models."""

    version: Literal[1] = 1
    local: str = ""
    """`prefetch.model` at the time: whoever sets another one means it."""
    active: str | None = None
    """A model of the registry; None: the local one."""
    previous: str | None = None
    refused: tuple[RefusedModel, ...] = ()


class HeldModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was fetched before."""

    model_id: str
    manifest_sha256: str
    folder: str


class ModelEvent(Event, frozen=True, kw_only=True):
    """Something that happened to a model."""


class ModelsFound(ModelEvent, frozen=True, kw_only=True):
    """The node has started. `local` is as in `prefetch.model`."""

    local: str
    held: tuple[HeldModel, ...] = ()
    remembered: Remembered = Remembered()


class ModelsOffered(ModelEvent, frozen=True, kw_only=True):
    """The registry's list, whole."""

    offers: tuple[Offer, ...]


class ModelFetched(ModelEvent, frozen=True, kw_only=True):
    """Answer to `FetchModel`: all of it is in this folder. Nothing is verified yet."""

    held: HeldModel


class ModelRefused(ModelEvent, frozen=True, kw_only=True):
    """The other answer to `FetchModel`."""

    model_id: str
    reason: Refusal
    detail: str


class ModelReady(ModelEvent, frozen=True, kw_only=True):
    """Its signature, bytes and schema are right, and it answered its golden rows as it should."""

    run_id: int
    model_id: str
    warm_s: float
    """What one row took it, in the middle of the golden ones."""
    feature_names: tuple[str, ...] = ()
    deciles: dict[str, tuple[float, ...]] = msgspec.field(default_factory=dict)
    """Of the training rows, by feature."""


class ModelUnusable(ModelEvent, frozen=True, kw_only=True):
    run_id: int
    reason: Refusal
    detail: str


class ModelLost(ModelEvent, frozen=True, kw_only=True):
    run_id: int
    detail: str
    is_final: bool


class ShadowPredicted(ModelEvent, frozen=True, kw_only=True):
    """What a model answered that does not decide; as `Predicted`."""

    prediction_id: int
    run_id: int
    probabilities: tuple[tuple[float, ...], ...]
    took_s: float
