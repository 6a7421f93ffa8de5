"""How long one answer of a model takes: the graph it serves against the float one, same rows.

On the CPU times are CPU time of the calling thread, so that a busy machine does not show, and the
graphs take turns, so that whatever it does meanwhile meets them all. On a GPU, where the thread
only waits, they are times of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ModelError
from predictor import artifact
from predictor.artifact import Manifest
from predictor.runtime import Graph, default_model_folder, has_gpu

BATCHES = (1, 32, 256)
_WARM_UP = 20
# A model that takes a second for a batch would otherwise be asked for minutes.
_CALLS_MIN = 100

Rows = NDArray[np.float32] | NDArray[np.int64]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one call."""

    batch: int
    p50: float
    p99: float
    calls: int


class Benched(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one device."""

    manifest: Manifest
    device: str
    provider: str
    """What really ran it."""
    latencies: dict[str, tuple[Latency, ...]]
    """`int8` or `float` as the model serves, and `float` where that graph lies beside it."""


def bench_folder(
    folder: Path | None = None, *, calls: int = 2000, device: str = "cpu"
) -> tuple[Benched, ...]:
    """A model folder of any kind, by default the shipped one; `device` auto adds the GPU where
    there is one. Raises ModelError."""
    folder = folder or default_model_folder()
    loaded = artifact.load(folder, kind=None)
    model_float = _read_float(folder)
    if device == "gpu" and not has_gpu():
        raise ModelError("there is no GPU that onnxruntime can use; install nearcast[gpu], not cpu")
    # Trees say float32, and have nothing to quantise.
    served_as = "int8" if loaded.manifest.precision == "int8" else "float"
    devices = {"auto": ("cpu", "gpu") if has_gpu() else ("cpu",)}.get(device, (device,))
    found = []
    for one in devices:
        graphs = {served_as: Graph(loaded.model, source=str(folder), device=one)}
        if model_float is not None and "float" not in graphs:
            source = f"{folder}/{artifact.MODEL_FLOAT_FILE}"
            graphs["float"] = Graph(model_float, source=source, device=one)
        served = graphs[served_as]
        rows: Any = np.array(loaded.manifest.golden.inputs, served.input_type)
        found.append(
            Benched(
                manifest=loaded.manifest,
                device=one,
                provider=served.provider,
                latencies=measure(graphs, rows=rows, calls=calls, is_on_gpu=one == "gpu"),
            )
        )
    return tuple(found)


def measure(
    graphs: Mapping[str, Graph],
    *,
    rows: Rows,
    calls: int = 2000,
    batches: tuple[int, ...] = BATCHES,
    is_on_gpu: bool = False,
) -> dict[str, tuple[Latency, ...]]:
    """Latency per graph and batch size; `rows` (any number, columns) are repeated to fill."""
    now_s = time.perf_counter if is_on_gpu else time.thread_time
    found: dict[str, list[Latency]] = {name: [] for name in graphs}
    for batch in batches:
        block = np.ascontiguousarray(np.resize(rows, (batch, rows.shape[1])))
        times: dict[str, list[float]] = {name: [] for name in graphs}
        count = max(_CALLS_MIN, calls // batch)
        for call in range(_WARM_UP + count):
            for name, graph in graphs.items():
                begun_s = now_s()
                graph.run(block)
                if call >= _WARM_UP:
                    times[name].append(now_s() - begun_s)
        for name, taken in times.items():
            p50, p99 = (float(np.percentile(taken, at)) for at in (50, 99))
            found[name].append(Latency(batch=batch, p50=p50, p99=p99, calls=count))
    return {name: tuple(rows_) for name, rows_ in found.items()}


def _read_float(folder: Path) -> bytes | None:
    """The float graph, which is there for comparison and need not be."""
    path = folder / artifact.MODEL_FLOAT_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
