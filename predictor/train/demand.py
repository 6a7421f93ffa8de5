"""Trains the demand model of one period: decay table, trees upon it, quantiles put right.

The trees learn the log ratio of what came to what the table expected, by pinball loss weighted with
what was expected: at the median that is the absolute error in amounts. The table they correct is
fitted to the same periods, which flatters it there by little (a few numbers from hundreds of rows).
The outer quantiles are then moved on the last part of the training periods by a fit without them,
until as many outcomes are covered as are said to be (split-conformal, per quantile).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.seeds import Seeds
from predictor import artifact
from predictor.artifact import Golden, Manifest, Reference
from predictor.demand.causal import causal
from predictor.demand.features import FEATURE_NAMES, FEATURE_VERSION, Rows, rows_at
from predictor.demand.history import DemandHistory, Floats
from predictor.demand.model import corrected
from predictor.demand.table import (
    MEDIAN,
    OUTPUTS,
    QUANTILES,
    TABLE_FILE,
    DecayTable,
    outlooks,
)
from predictor.export import OPSET
from predictor.kinds import DEMAND
from predictor.runtime import Graph
from predictor.train.demand_boosting import Boosted, BoostSettings, fit_boosted
from predictor.train.demand_onnx import trees_graph
from predictor.train.demand_table import fit_table, outcomes, weighted_quantile
from predictor.train.describing import deciles, describe

OnProgress = Callable[[str, float], None]

ROWS_MAX: Final = 16_000
"""Drawn from more, so that a large log is learnt in minutes on one core."""
HALF_LIFE_PERIODS: Final = 104.0
"""Older rows count less: viewing and the lists' rules change. Without it the error of rolling
origins on the weekly top ten is .003 larger, at 60 weeks .001."""
_SETTLING_SHARE: Final = 0.15
_GOLDEN_ROWS: Final = 16
# A sum of a thousand 32-bit leaves may be added in another order by another runtime.
_GOLDEN_TOLERANCE: Final = 1e-3


class Trees(msgspec.Struct, frozen=True, kw_only=True):
    """The table and what corrects it."""

    table: DecayTable
    models: tuple[Boosted, ...]  # at QUANTILES

    def corrections(self, features: NDArray[np.float32]) -> Floats:
        """(rows, 3) log ratios."""
        return np.stack([model.predict(features) for model in self.models], axis=1)

    def quantiles(self, rows: Rows) -> Floats:
        """(rows, 3) amounts."""
        return corrected(rows.base, self.corrections(rows.features), self.table.floor)


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with what came of them; each stands for `weight` rows."""

    rows: Rows
    amount: Floats
    weight: Floats
    period: NDArray[np.int64]  # the one foreseen from


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    model: bytes
    table: bytes
    manifest: Manifest
    trees: Trees


def fit(
    history: DemandHistory,
    *,
    seed: int,
    settings: BoostSettings,
    on_progress: OnProgress = lambda stage, share: None,
) -> Trees:
    """The model of all periods of the history."""
    seeds = Seeds(seed)
    settling = max(1, round(_SETTLING_SHARE * history.period_count))
    before = _fit_once(history.until(history.period_count - settling), seeds, settings)
    on_progress("trees", 0.5)
    shifts = _shifts(before, learned_rows(history, before.table, seeds, settling))
    whole = _fit_once(history, seeds, settings)
    on_progress("trees", 1.0)
    models = tuple(
        msgspec.structs.replace(model, start=float(np.float32(model.start + shift)))
        for model, shift in zip(whole.models, shifts, strict=True)
    )
    return Trees(table=whole.table, models=models)


def learned_rows(
    history: DemandHistory, table: DecayTable, seeds: Seeds, last: int | None = None
) -> Learned:
    """Rows whose outcome is in the history's `last` periods, None: in any; up to about ROWS_MAX."""
    rng = seeds.stream("demand/rows")
    quota = -(-ROWS_MAX // (last or history.period_count))
    known = causal(history)
    first = 0 if last is None else history.period_count - last - 1
    parts: list[Learned] = []
    for at, outlook in enumerate(outlooks(history, table, known)):
        if at < first or at + 1 == history.period_count:
            continue
        rows = rows_at(history, table, known, outlook, at)
        chosen = outcomes(history, known, at)[rows.title]
        rows, weight = _drawn(take(rows, np.flatnonzero(chosen)), table, quota, rng)
        amount = np.nan_to_num(history.amounts[rows.title, rows.region, at + 1])
        period = np.full(len(amount), at)
        parts.append(Learned(rows=rows, amount=amount, weight=weight, period=period))
    rows = Rows(
        title=np.concatenate([part.rows.title for part in parts]),
        region=np.concatenate([part.rows.region for part in parts]),
        features=np.concatenate([part.rows.features for part in parts]),
        base=np.concatenate([part.rows.base for part in parts]),
    )
    return Learned(
        rows=rows,
        amount=np.concatenate([part.amount for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        period=np.concatenate([part.period for part in parts]),
    )


def _drawn(
    rows: Rows, table: DecayTable, quota: int, rng: np.random.Generator
) -> tuple[Rows, Floats]:
    """About `quota` of the rows if there are more, the larger the likelier, and their weights."""
    if len(rows.base) <= quota:
        return rows, np.ones(len(rows.base))
    size = np.sqrt(rows.base + table.floor)
    chance = np.minimum(1.0, quota * size / size.sum())
    chosen = np.flatnonzero(rng.random(len(chance)) < chance)
    return take(rows, chosen), 1.0 / chance[chosen]


def take(rows: Rows, chosen: NDArray[np.int64]) -> Rows:
    return Rows(
        title=rows.title[chosen],
        region=rows.region[chosen],
        features=rows.features[chosen],
        base=rows.base[chosen],
    )


def package(trees: Trees, learned: Learned, *, data_sha256: str, seed: int) -> Trained:
    """The artifact's bytes and manifest, with golden rows answered by the runtime itself."""
    model = trees_graph(trees.models, len(FEATURE_NAMES))
    table = msgspec.json.format(msgspec.json.encode(trees.table), indent=1) + b"\n"
    graph = Graph(model, source="the model just trained")
    features = learned.rows.features
    chosen = np.linspace(0, len(features) - 1, _GOLDEN_ROWS).astype(int)
    golden_rows = np.round(features[chosen].astype(np.float64), 4)
    answers = [graph.run(row[None, :].astype(np.float32))[0] for row in golden_rows]
    manifest = describe(
        DEMAND,
        model,
        variant=trees.table.period,
        features=(FEATURE_VERSION, FEATURE_NAMES),
        outputs=OUTPUTS,
        opset=OPSET,
        precision="float32",
        files={TABLE_FILE: table},
        golden=Golden(
            inputs=tuple(tuple(float(v) for v in row) for row in golden_rows),
            outputs=tuple(tuple(round(float(v), 6) for v in row) for row in answers),
            tolerance=_GOLDEN_TOLERANCE,
        ),
        metrics={},
        reference=Reference(deciles=deciles(features, FEATURE_NAMES)),
        data_sha256=data_sha256,
        seed=seed,
    )
    return Trained(model=model, table=table, manifest=manifest, trees=trees)


def write(folder: Path, trained: Trained) -> None:
    """The model folder."""
    artifact.write(folder, trained.model, trained.manifest, files={TABLE_FILE: trained.table})


def _fit_once(history: DemandHistory, seeds: Seeds, settings: BoostSettings) -> Trees:
    table = fit_table(history)
    learned = learned_rows(history, table, seeds)
    rows, floor = learned.rows, table.floor
    target = np.log((learned.amount + floor) / (rows.base + floor))
    old = learned.period.max() - learned.period
    standing = learned.weight * 0.5 ** (old / HALF_LIFE_PERIODS)
    models = []
    for name, quantile in zip(OUTPUTS, QUANTILES, strict=True):
        # Amounts weigh the median, whose error is counted in amounts. The outer quantiles are
        # promises about every title, so the small ones count more there.
        amount = rows.base + floor
        weight = standing * (amount if name == OUTPUTS[MEDIAN] else np.sqrt(amount))
        models.append(
            fit_boosted(
                rows.features,
                target,
                weight / weight.mean(),
                quantile=quantile,
                settings=settings,
                rng=seeds.stream(f"demand/{name}"),
            )
        )
    return Trees(table=table, models=tuple(models))


def _shifts(trees: Trees, learned: Learned) -> tuple[float, ...]:
    """What to add to the log ratios of each quantile; the median stays, it is no promise."""
    floor = trees.table.floor
    target = np.log((learned.amount + floor) / (learned.rows.base + floor))
    missing = target[:, None] - trees.corrections(learned.rows.features)
    return tuple(
        0.0
        if name == OUTPUTS[MEDIAN]
        else weighted_quantile(missing[:, at], learned.weight, quantile)
        for at, (name, quantile) in enumerate(zip(OUTPUTS, QUANTILES, strict=True))
    )
