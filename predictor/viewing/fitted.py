"""The behaviour that comes with the package: fitted constants, see `predictor.viewing.fit`."""

from __future__ import annotations

from importlib import resources

import msgspec

from predictor.viewing.behaviour import Behaviour


def fitted_behaviour() -> Behaviour:
    text = resources.files("predictor.viewing").joinpath("fitted.json").read_bytes()
    return msgspec.json.decode(text, type=Behaviour)
