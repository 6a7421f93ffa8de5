"""What a client may remember of the networks it was on: a level, a spread, how often, how long ago.

Nothing is kept unless the viewer agreed. A network is known by a hash of its name, salted per
store, so that the file names no place. What is remembered becomes the prior of a first request;
the older it is, the wider. Pure: the caller reads and writes the text and knows the time.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
import numpy as np

from nearcast.errors import InputError
from predictor.bandwidth.features import RATE_KBPS_MIN
from predictor.bandwidth.file import Prior, line_of
from predictor.bandwidth.history import Floats

NETWORKS_MAX: Final = 32
"""A person's places; the least recent go first."""
WEIGHT_MAX: Final = 8.0
"""Sessions that count at most, so that a network that changed is soon known anew."""
AGE_S_MAX: Final = 180 * 86400.0
_SPREAD_MIN: Final = 0.3
_SPREAD_PER_MONTH: Final = 0.25
_MONTH_S: Final = 30 * 86400.0
_BYTES_MAX: Final = 100_000


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network: a running mean over sessions."""

    level: Annotated[float, msgspec.Meta(ge=-10.0, le=40.0)]
    """Mean log2 kbit/s."""
    variance: Annotated[float, msgspec.Meta(ge=0.0, le=400.0)]
    """Of single transfers about it."""
    weight: Annotated[float, msgspec.Meta(gt=0.0, le=WEIGHT_MAX)]
    session_count: Annotated[int, msgspec.Meta(ge=1)]
    wall_s: float
    """Of the newest session."""


class Store(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All networks by hash; a new store for every change."""

    salt: str
    is_allowed: bool = False
    networks: dict[str, Network] = {}

    def key(self, name: str) -> str:
        return hashlib.sha256(f"{self.salt}/{name}".encode()).hexdigest()[:16]


def learnt(store: Store, name: str, samples_kbps: Floats, wall_s: float) -> Store:
    """The store after a session on a network; the same one without consent or samples."""
    samples = samples_kbps[~np.isnan(samples_kbps)]
    if not store.is_allowed or not len(samples):
        return store
    levels = np.log2(np.maximum(samples, RATE_KBPS_MIN))
    level, variance = float(levels.mean()), float(levels.var())
    key = store.key(name)
    known = store.networks.get(key)
    if known is None:
        fresh = Network(level=level, variance=variance, weight=1.0, session_count=1, wall_s=wall_s)
    else:
        share = 1.0 / (known.weight + 1.0)
        beside = level - known.level
        fresh = Network(
            level=known.level + share * beside,
            # Within sessions, and between them.
            variance=(1.0 - share) * (known.variance + share * beside**2) + share * variance,
            weight=min(known.weight + 1.0, WEIGHT_MAX),
            session_count=known.session_count + 1,
            wall_s=max(known.wall_s, wall_s),
        )
    networks = {**store.networks, key: fresh}
    newest = sorted(networks, key=lambda each: (-networks[each].wall_s, each))[:NETWORKS_MAX]
    return _with_networks(store, {each: networks[each] for each in sorted(newest)})


def prior_of(store: Store, name: str, wall_s: float) -> Prior | None:
    """What to expect of a network before its first sample; None where nothing is known."""
    known = store.networks.get(store.key(name)) if store.is_allowed else None
    if known is None or wall_s - known.wall_s > AGE_S_MAX:
        return None
    months = max(wall_s - known.wall_s, 0.0) / _MONTH_S
    # Few sessions say little of the next one: their own mean is uncertain too.
    spread = (known.variance * (1.0 + 1.0 / known.weight) + _SPREAD_MIN**2) ** 0.5
    return Prior(level=known.level, spread=spread + _SPREAD_PER_MONTH * months)


def forgotten(store: Store, name: str | None = None) -> Store:
    """The store without a network, or without any."""
    left = {} if name is None else dict(store.networks)
    if name is not None:
        left.pop(store.key(name), None)
    return _with_networks(store, left)


def decode(content: bytes, source: str) -> Store:
    """The store in a file. Raises InputError naming file and line."""
    if len(content) > _BYTES_MAX:
        raise InputError(f"{source} is larger than the {_BYTES_MAX} bytes allowed for it")
    try:
        return msgspec.json.decode(content, type=Store)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source}, line {line_of(content, error)}: no network memory: {error}; "
            "delete the file to start anew"
        ) from error


def encode(store: Store) -> bytes:
    return msgspec.json.format(msgspec.json.encode(store), indent=1) + b"\n"


def _with_networks(store: Store, networks: dict[str, Network]) -> Store:
    return Store(salt=store.salt, is_allowed=store.is_allowed, networks=networks)
