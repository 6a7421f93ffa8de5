"""What one answer of a model costs, as it serves against float on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from predictor.bench import Benched, bench_folder

MICROSECONDS = 1e6


class InferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """Time of one call with `batch` rows: CPU time, on a GPU time of the clock; `ratio_to_float`
    is of the medians. A model that serves in float has no int8 figures."""

    model_id: str
    kind: str
    device: str
    provider: str
    batch: int
    int8_p50_s: float | None
    int8_p99_s: float | None
    float_p50_s: float | None
    float_p99_s: float | None
    ratio_to_float: float | None


def run_bench(
    call_count: int, *, folders: tuple[Path, ...] = (), device: str = "auto"
) -> tuple[InferenceRow, ...]:
    """The shipped next-episode model where no folder is named. Raises ModelError."""
    return tuple(
        row
        for folder in folders or (None,)
        for benched in bench_folder(folder, calls=call_count, device=device)
        for row in _rows(benched)
    )


def table(rows: tuple[InferenceRow, ...]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    heads = ("int8 p50", "int8 p99", "float p50", "float p99", "int8 x")
    shown = ""
    for row in rows:
        is_cpu = row.device == "cpu"
        what = "CPU microseconds per call, one thread" if is_cpu else "microseconds per call"
        title = f"{row.model_id} on the {row.device}: {what}"
        if title != shown:
            shown = title
            yield title
            yield f"{'batch':>6}" + "".join(f"{head:>12}" for head in heads)
        times = (row.int8_p50_s, row.int8_p99_s, row.float_p50_s, row.float_p99_s)
        cells = ["-" if one is None else f"{one * MICROSECONDS:.1f}" for one in times]
        cells.append("-" if row.ratio_to_float is None else f"{row.ratio_to_float:.2f}")
        yield f"{row.batch:>6}" + "".join(f"{cell:>12}" for cell in cells)


def _rows(benched: Benched) -> Iterator[InferenceRow]:
    whole = {one.batch: one for one in benched.latencies.get("int8", ())}
    exact = {one.batch: one for one in benched.latencies.get("float", ())}
    for batch in sorted(whole.keys() | exact.keys()):
        int8, base = whole.get(batch), exact.get(batch)
        yield InferenceRow(
            model_id=benched.manifest.model_id,
            kind=benched.manifest.kind,
            device=benched.device,
            provider=benched.provider,
            batch=batch,
            int8_p50_s=int8.p50 if int8 else None,
            int8_p99_s=int8.p99 if int8 else None,
            float_p50_s=base.p50 if base else None,
            float_p99_s=base.p99 if base else None,
            ratio_to_float=int8.p50 / base.p50 if int8 and base else None,
        )
