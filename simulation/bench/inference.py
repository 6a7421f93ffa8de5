"""What one answer of the next-episode model costs, int8 against float on the same rows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from predictor.bench import bench_shipped

MICROSECONDS = 1e6


class InferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time of one call with `batch` rows; `ratio_to_float` is of the medians."""

    batch: int
    int8_p50_s: float
    int8_p99_s: float
    float_p50_s: float | None
    float_p99_s: float | None
    ratio_to_float: float | None


def run_bench(call_count: int) -> tuple[InferenceRow, ...]:
    """Raises ModelError when the shipped model cannot be used."""
    found = bench_shipped(calls=call_count)
    floats = {latency.batch: latency for latency in found.get("float", ())}
    rows = []
    for int8 in found["int8"]:
        base = floats.get(int8.batch)
        rows.append(
            InferenceRow(
                batch=int8.batch,
                int8_p50_s=int8.p50,
                int8_p99_s=int8.p99,
                float_p50_s=base.p50 if base else None,
                float_p99_s=base.p99 if base else None,
                ratio_to_float=int8.p50 / base.p50 if base else None,
            )
        )
    return tuple(rows)


def table(rows: tuple[InferenceRow, ...]) -> Iterator[str]:
    """Lines of at most 80 columns."""
    yield "next-episode model, CPU microseconds per call, one thread"
    heads = ("int8 p50", "int8 p99", "float p50", "float p99", "int8 x")
    yield f"{'batch':>6}" + "".join(f"{head:>12}" for head in heads)
    for row in rows:
        times = (row.int8_p50_s, row.int8_p99_s, row.float_p50_s, row.float_p99_s)
        cells = ["-" if one is None else f"{one * MICROSECONDS:.1f}" for one in times]
        cells.append("-" if row.ratio_to_float is None else f"{row.ratio_to_float:.2f}")
        yield f"{row.batch:>6}" + "".join(f"{cell:>12}" for cell in cells)
