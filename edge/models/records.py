"""What is written down of the life of models; no record names a viewer."""

from __future__ import annotations

from typing import Literal

from nearcast.record import Record

ModelState = Literal[
    "fetched", "verified", "warmed", "shadow", "active", "retired", "refused", "rolled back"
]


class ModelMoved(Record, frozen=True, kw_only=True, tag="edge.model_moved"):
    """A model has got so far."""

    model_id: str
    state: ModelState
    detail: str
