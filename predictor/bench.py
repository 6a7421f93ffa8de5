"""How long one answer takes: the int8 graph against the float one, on the same rows.

Times are CPU time of the calling thread, so that a busy machine does not show; the two graphs take
turns, so that whatever it does meanwhile meets both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ModelError
from predictor import artifact
from predictor.features import FEATURE_COUNT
from predictor.runtime import Graph, default_model_folder

BATCHES = (1, 32, 256)
_WARM_UP = 20


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds of one call."""

    batch: int
    p50: float
    p99: float
    calls: int


def bench_shipped(
    *, calls: int = 2000, folder: Path | None = None
) -> dict[str, tuple[Latency, ...]]:
    """`{"float": ..., "int8": ...}` for a model folder, by default the shipped one.

    Raises ModelError; a folder without the float graph gives `int8` alone.
    """
    folder = folder or default_model_folder()
    loaded = artifact.load(folder)
    graphs = {"int8": Graph(loaded.model, source=str(folder))}
    try:
        model_float = (folder / artifact.MODEL_FLOAT_FILE).read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ModelError(f"cannot read the float graph in {folder}: {error.strerror}") from error
    else:
        graphs["float"] = Graph(model_float, source=artifact.MODEL_FLOAT_FILE)
    return measure(graphs, rows=np.array(loaded.manifest.golden.inputs, np.float32), calls=calls)


def measure(
    graphs: Mapping[str, Graph],
    *,
    rows: NDArray[np.float32],
    calls: int = 2000,
    batches: tuple[int, ...] = BATCHES,
) -> dict[str, tuple[Latency, ...]]:
    """Latency per graph and batch size; `rows` (any number, FEATURE_COUNT) are repeated to fill."""
    assert rows.shape[1] == FEATURE_COUNT
    found: dict[str, list[Latency]] = {name: [] for name in graphs}
    for batch in batches:
        block = np.ascontiguousarray(np.resize(rows, (batch, FEATURE_COUNT)))
        times: dict[str, list[float]] = {name: [] for name in graphs}
        count = max(100, calls // batch)
        for call in range(_WARM_UP + count):
            for name, graph in graphs.items():
                begun_s = time.thread_time()
                graph.run(block)
                if call >= _WARM_UP:
                    times[name].append(time.thread_time() - begun_s)
        for name, taken in times.items():
            p50, p99 = (float(np.percentile(taken, at)) for at in (50, 99))
            found[name].append(Latency(batch=batch, p50=p50, p99=p99, calls=count))
    return {name: tuple(rows_) for name, rows_ in found.items()}
