"""Runs models of every kind. The only module that imports onnxruntime, once a model is loaded.

One thread and no spinning: a model this small takes microseconds, and threads that spin for the
next request would take a core from those who send video. A load ends with the golden rows: a
runtime or processor that computes something else is found before the first viewer is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nearcast.errors import ModelError, SchemaMismatch
from predictor import artifact, graph_rules
from predictor.artifact import Artifact, Manifest
from predictor.features import FEATURE_COUNT
from predictor.graph_rules import GraphFacts
from predictor.kinds import NEXT_EPISODE
from predictor.signature import Trust

_PROVIDERS: Final = {
    "cpu": ("CPUExecutionProvider",),
    "gpu": ("CUDAExecutionProvider", "CPUExecutionProvider"),
}


def default_model_folder() -> Path:
    """The model this version ships with."""
    return Path(__file__).parent / "models" / NEXT_EPISODE


def has_gpu() -> bool:
    """Whether the runtime can use one. Raises ModelError where there is no runtime."""
    runtime = _onnxruntime()
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        return False
    # A build for GPUs names the provider on machines without one too; loading tells.
    return Path("/proc/driver/nvidia/version").exists()


class Graph:
    """A loaded ONNX graph with one input (batch, columns) and one output (batch, columns).

    The input is of floats (rows of features) or of 64-bit integers (sequences of titles).
    """

    def __init__(
        self,
        model: bytes,
        *,
        source: str,
        device: str = "cpu",
        facts: GraphFacts | None = None,
    ) -> None:
        """`facts` are those of a graph that was judged already. Raises ModelError."""
        if device not in _PROVIDERS:
            raise ModelError(f"device must be cpu or gpu, got {device!r}")
        facts = facts or graph_rules.check(model, source)
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: the caller reports what matters
        # Asking for a provider that is not there is a warning; asking for what is, is none.
        available = set(runtime.get_available_providers())
        wanted = [name for name in _PROVIDERS[device] if name in available]
        try:
            self._session = runtime.InferenceSession(model, options, providers=wanted)
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        except Exception as error:  # onnxruntime raises a dozen unrelated types
            raise ModelError(f"the model in {source} cannot be loaded: {_brief(error)}") from error
        self._source = source
        self._input, self._outputs = inputs[0].name, [outputs[0].name]
        self.input_type: type[np.float32 | np.int64] = np.int64 if facts.is_integer else np.float32
        self.width: int | None = facts.input_width
        """Columns of the input; None: any number."""
        # What really runs: a session asked for CUDA falls back to the CPU without an error.
        self.provider: str = self._session.get_providers()[0]

    def run(self, rows: NDArray[np.float32] | NDArray[np.int64]) -> NDArray[np.float32]:
        """(batch, columns) of `input_type` -> (batch, outputs). Raises ModelError."""
        try:
            answer = self._session.run(self._outputs, {self._input: rows})[0]
        except Exception as error:  # as above
            raise ModelError(
                f"the model in {self._source} failed on {rows.shape} rows: {_brief(error)}"
            ) from error
        return np.asarray(answer, dtype=np.float32)


def open_graph(loaded: Artifact, *, device: str = "cpu") -> Graph:
    """The graph of an artifact of any kind, loaded and tried on its golden rows.

    Raises ModelError.
    """
    graph = Graph(loaded.model, source=loaded.folder, device=device, facts=loaded.graph)
    _check_golden(graph, loaded)
    return graph


class NextEpisodeModel:
    """P(the successor episode starts within a horizon after this play ends), per horizon."""

    def __init__(self, loaded: Artifact, *, device: str = "cpu") -> None:
        self.manifest: Manifest = loaded.manifest
        self._graph = open_graph(loaded, device=device)
        self.provider = self._graph.provider

    @classmethod
    def load(
        cls, folder: Path, *, device: str = "cpu", trust: Trust | None = None
    ) -> NextEpisodeModel:
        """The checked and tried model. Raises ModelError, SchemaMismatch or SignatureError."""
        loaded = artifact.load(Path(folder), kind=NEXT_EPISODE, trust=trust)
        return cls(loaded, device=device)

    @property
    def horizons(self) -> tuple[str, ...]:
        return self.manifest.outputs

    def probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, FEATURE_COUNT) from `features.vector` -> (batch, horizons), each in 0..1.

        An int8 graph takes its scale from the whole batch, so a row's answer can differ by about
        a hundredth between batches; ask row by row where answers must repeat exactly.
        """
        if rows.ndim != 2 or rows.shape[1] != FEATURE_COUNT:
            raise SchemaMismatch(f"rows must be (batch, {FEATURE_COUNT}), got {rows.shape}")
        if not len(rows):
            return np.zeros((0, len(self.horizons)), dtype=np.float32)
        return self._graph.run(np.ascontiguousarray(rows, dtype=np.float32))


def _check_golden(graph: Graph, loaded: Artifact) -> None:
    golden = loaded.manifest.golden
    # Whatever the numbers are: what comes of them is compared, and NaN is refused.
    with np.errstate(all="ignore"):
        expected = np.array(golden.outputs, dtype=np.float32)
        rows = np.array(golden.inputs).astype(graph.input_type)
        answers = np.concatenate([graph.run(row[None, :]) for row in rows])
        shape = answers.shape
        if golden.columns and len(shape) == 2 and max(golden.columns) < shape[1]:
            answers = answers[:, list(golden.columns)]
        if answers.shape != expected.shape:
            raise SchemaMismatch(
                f"the graph in {loaded.folder} answers {shape}, its manifest expects "
                f"{expected.shape}; train the model again"
            )
        shift = float(np.abs(answers - expected).max())
    if not shift <= golden.tolerance:  # also true of NaN
        raise ModelError(
            f"the model in {loaded.folder} answers its golden rows {shift:.3f} beside what the "
            f"trainer got (allowed {golden.tolerance}); this runtime cannot be used for it",
            reason="golden",
        )


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "running models needs onnxruntime; install it with: pip install 'nearcast[cpu]'"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ModelError(
            "onnxruntime is damaged (were both extras, cpu and gpu, installed?); try: "
            "pip install --force-reinstall 'nearcast[cpu]'"
        )
    return onnxruntime


def _brief(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
