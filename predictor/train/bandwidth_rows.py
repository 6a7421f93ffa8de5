"""What the bandwidth model learns from: features now, throughput afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictor.bandwidth.features import RATE_KBPS_MIN, compute
from predictor.bandwidth.history import Floats, History
from predictor.bandwidth.model import WINDOWS_S
from predictor.train.bandwidth_traces import Indices, Links

Singles = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """One row a forecast. Targets are log2 ratios to the row's reference; NaN: not known."""

    features: Singles  # (n, features)
    targets: Singles  # (n, windows)
    reference: Singles  # (n,)
    family: NDArray[np.int16]  # (n,)

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        return Rows(
            features=self.features[rows],
            targets=self.targets[rows],
            reference=self.reference[rows],
            family=self.family[rows],
        )


@dataclass
class RowsWriter:
    """Collects batches; features are those of the serving code."""

    parts: list[Rows] = field(default_factory=list)

    def add(self, history: History, outcomes_kbps: Floats, family: Indices) -> None:
        features, reference = compute(history)
        self.parts.append(
            Rows(
                features=features,
                targets=(log_rate(outcomes_kbps) - reference[:, None]).astype(np.float32),
                reference=reference.astype(np.float32),
                family=family.astype(np.int16),
            )
        )

    def rows(self) -> Rows:
        return joined(self.parts)


def joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        features=np.concatenate([part.features for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        reference=np.concatenate([part.reference for part in parts]),
        family=np.concatenate([part.family for part in parts]),
    )


def log_rate(kbps: Floats) -> Floats:
    """log2 kbit/s with an outage at its floor; NaN stays NaN."""
    return np.log2(np.maximum(kbps, RATE_KBPS_MIN))


def windows_kbps(
    links: Links, trace: Indices, now_s: Floats, scale: Floats, stretch: Floats
) -> Floats:
    """(n, windows): mean capacity in each window ahead of `now_s`, of rescaled traces.

    The first is [0, 4) s: what is asked of a history without a request.
    """
    edges = np.array(WINDOWS_S)
    marks = np.unique(edges)
    kbit = (
        np.stack([links.kbit_until(trace, (now_s + mark) / stretch) for mark in marks], axis=1)
        * (scale * stretch)[:, None]
    )
    low = kbit[:, np.searchsorted(marks, edges[:, 0])]
    high = kbit[:, np.searchsorted(marks, edges[:, 1])]
    return np.asarray((high - low) / (edges[:, 1] - edges[:, 0]))
