"""The kinds of model that travel as artifacts, and what is asked of each.

A new kind is one line here, and which operators it may use (`predictor.operators`). Limits are some
ten times what a good model of the kind needs: they keep a node from reading nonsense, they are not
goals. Bandwidth models are no artifacts: a player gets one as a JSON file
(`predictor.bandwidth.file`).
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nearcast.errors import SchemaMismatch
from nearcast.horizons import HORIZONS
from predictor.features import FEATURE_NAMES, FEATURE_VERSION

NEXT_EPISODE: Final = "next-episode"
RECOMMEND: Final = "recommend"
DEMAND: Final = "demand"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What all models of a kind have in common."""

    name: str
    input: Literal["rows", "sequences"]
    """Rows of features as float32, one column a feature; or sequences of titles as int64."""
    model_bytes_max: int
    features: tuple[int, tuple[str, ...]] | None = None
    """Version and names that this version of Nearcast computes; None: whoever runs the model
    compares them."""
    outputs: tuple[str, ...] | None = None
    """What each of them answers; None: that differs."""


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            name=NEXT_EPISODE,
            input="rows",
            model_bytes_max=4_000_000,
            features=(FEATURE_VERSION, FEATURE_NAMES),
            outputs=HORIZONS,
        ),
        Kind(name=RECOMMEND, input="sequences", model_bytes_max=32_000_000),
        Kind(name=DEMAND, input="rows", model_bytes_max=16_000_000),
    )
}


def kind_of(name: str, source: str) -> Kind:
    """Raises SchemaMismatch for a kind this version does not know."""
    try:
        return KINDS[name]
    except KeyError:
        raise SchemaMismatch(
            f"the model in {source} is of kind {name!r}; known are {', '.join(KINDS)}"
        ) from None
