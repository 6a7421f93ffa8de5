"""What a training run says of its model: scores by family, of traces that were not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from nearcast.seeds import Seeds
from predictor.bandwidth.model import BandwidthModel
from predictor.train.bandwidth_data import families_of
from predictor.train.bandwidth_rows import Singles
from predictor.train.bandwidth_scores import Scores, score_transfers, score_windows
from predictor.train.bandwidth_traces import Trace


class FamilyScores(msgspec.Struct, frozen=True, kw_only=True):
    traces: int
    windows: Scores | None
    transfers: Scores


class Report(msgspec.Struct, frozen=True, kw_only=True):
    model_id: str
    size_bytes: int
    rank_correlation: tuple[float, ...]
    measured_on: str
    held_out: dict[str, FamilyScores]
    """Traces nobody learnt from, of families that were learnt from."""
    left_out: dict[str, FamilyScores]
    """Families that the measured model never saw, by a fit without each."""

    test: dict[str, dict[str, dict[str, float]]]
    """The held-out figures once more, as every `train` command writes them: by family and "all",
    the mean of families; below that float and int8."""


def measure(
    model: BandwidthModel,
    ratios: Callable[[Singles], Singles],
    traces: Sequence[Trace],
    seeds: Seeds,
) -> dict[str, FamilyScores]:
    """Scores of each family among the traces."""
    found = {}
    for family in families_of(traces):
        of_family = [trace for trace in traces if trace.family == family]
        rng: np.random.Generator = seeds.stream(f"bandwidth/measuring/{family}")
        found[family] = FamilyScores(
            traces=len(of_family),
            windows=score_windows(model, ratios, of_family),
            transfers=score_transfers(model, ratios, of_family, rng),
        )
    return found


def test_figures(held_out: dict[str, FamilyScores]) -> dict[str, dict[str, dict[str, float]]]:
    """What `Report.test` says."""
    found = {
        family: {kind: _figures(scores, kind) for kind in ("float", "int8")}
        for family, scores in held_out.items()
    }
    if not found:
        return found
    mean: dict[str, dict[str, float]] = {}
    for kind in ("float", "int8"):
        rows = [each[kind] for each in found.values()]
        names = [name for name in rows[0] if all(name in row for row in rows)]
        mean[kind] = {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in names}
    return {**found, "all": mean}


def _figures(scores: FamilyScores, kind: str) -> dict[str, float]:
    figures = {}
    for protocol, found in (("transfers", scores.transfers), ("windows", scores.windows)):
        if found is None:
            continue
        best = found.error_rules[found.best_rule]
        is_float = kind == "float"
        error = found.error_float if is_float else found.error
        below = found.below_quarter_float if is_float else found.below["0.25"]
        figures[f"{protocol}_error_log2"] = error
        figures[f"{protocol}_error_to_best"] = round(error / max(best, 1e-9), 4)
        figures[f"{protocol}_below_quarter"] = below
    return figures


def report_text(report: Report) -> str:
    """For a terminal."""
    parts = [
        f"{report.model_id}  {report.size_bytes} bytes; rank correlation from window to window "
        + " ".join(f"{each:.2f}" for each in report.rank_correlation),
        f"Measured on {report.measured_on}. Error: mean |log2| of the median; below 25 %: share of "
        "outcomes below that quantile (20-28 wanted).",
    ]
    for title, found in (
        ("Families learnt from, other traces", report.held_out),
        ("Families never seen", report.left_out),
    ):
        if found:
            parts += ["", title, _scores_text(found)]
    return "\n".join(parts)


def _scores_text(found: dict[str, FamilyScores]) -> str:
    lines = [
        f"  {'family':<12}{'protocol':<11}{'error':>7}{'float':>7}{'rule':>7}  {'best rule':<18}"
        f"{'to best':>7}{'below 25 %':>12}{'float':>8}{'in session':>12}"
    ]
    for family, each in found.items():
        for protocol, scores in (("windows", each.windows), ("transfers", each.transfers)):
            if scores is None:
                continue
            calibrated = scores.below_quarter_calibrated
            lines.append(
                f"  {family:<12}{protocol:<11}{scores.error:>7.3f}{scores.error_float:>7.3f}"
                f"{scores.error_rules[scores.best_rule]:>7.3f}  {scores.best_rule:<18}"
                f"{scores.error_to_best:>7.3f}{scores.below['0.25']:>12.1%}"
                f"{scores.below_quarter_float:>8.1%}"
                + ("" if calibrated is None else f"{calibrated:>12.1%}")
            )
    return "\n".join(lines)
