"""The inference process: one model, one thread, lowest claim to the processor.

Started by `edge.drivers.inference_child` with a socket and its `Orders`. It verifies and loads the
model under a memory limit: a hostile file meets neither the node's memory nor its keys. It says
`Ready` or `Failed` once and then answers each `Questions` with one `Answers`. It ends when the
socket does, so it never outlives its node.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

if TYPE_CHECKING:
    from predictor.artifact import Artifact
    from predictor.recommend.served import TitleModel
    from predictor.runtime import Graph

_LENGTH: Final = struct.Struct(">I")
NICENESS: Final = 10
DEFAULT_FOLDER: Final = "default"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to load, and whom to believe."""

    folder: str
    kind: str
    public_keys: tuple[str, ...]
    revoked_keys: tuple[str, ...]
    needs_signature: bool
    memory_bytes: int
    answers: int = 0
    """Of a model of titles: how many are named."""


class Questions(msgspec.Struct, frozen=True, kw_only=True, tag="questions"):
    """Rows of several questions one behind the other; `counts[i]` of them belong to `ids[i]`. Of a
    model that takes sequences the numbers are whole."""

    ids: tuple[int, ...]
    counts: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]


class Answers(msgspec.Struct, frozen=True, kw_only=True, tag="answers"):
    """For each question its rows, of each one number per output of the model; of a model of titles
    two rows, the numbers of the likeliest titles and their probabilities. `took_s` is what the
    model took for all of them."""

    ids: tuple[int, ...]
    probabilities: tuple[tuple[tuple[float, ...], ...], ...]
    took_s: float


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """It was verified, loaded and tried."""

    model_id: str
    warm_s: float
    """What one golden row took, the middle one of all."""
    feature_names: tuple[str, ...]
    deciles: dict[str, tuple[float, ...]]
    titles: tuple[str, ...] = ()
    """Of a model of titles: their names by number."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The model cannot be used; `reason` is one word."""

    reason: str
    detail: str


ToNode = Ready | Answers | Failed


def main(arguments: list[str]) -> int:
    fd, text = arguments
    orders = msgspec.json.decode(text, type=Orders)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    _limit_memory(orders.memory_bytes)
    with socket.socket(fileno=int(fd)) as end, end.makefile("rwb") as stream:
        try:
            return _serve(stream, orders)  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the node has gone


def _serve(stream: BinaryIO, orders: Orders) -> int:
    from nearcast.errors import NearcastError

    try:
        loaded = _load(orders)
        model = _model(loaded, orders)
        warm_s = _middle_s(loaded, model.graph)
    except MemoryError:
        limit = orders.memory_bytes
        _send(stream, Failed(reason="memory", detail=f"it does not fit into {limit} bytes"))
        return 0
    except (NearcastError, OSError) as error:
        reason, detail = getattr(error, "reason", "unreadable"), str(error)
        _send(stream, Failed(reason="memory" if "alloc" in detail else reason, detail=detail))
        return 0
    manifest = loaded.manifest
    _send(
        stream,
        Ready(
            model_id=manifest.model_id,
            warm_s=warm_s,
            feature_names=manifest.feature_names,
            deciles=manifest.reference.deciles,
            titles=model.titles,
        ),
    )
    while (questions := _receive(stream)) is not None:
        begun_s = time.perf_counter()
        try:
            answers = model.answers(questions)
        except (NearcastError, ValueError, IndexError) as error:
            _send(stream, Failed(reason="errors", detail=str(error)))
            return 1
        took_s = time.perf_counter() - begun_s
        _send(stream, Answers(ids=questions.ids, probabilities=answers, took_s=took_s))
    return 0


class _Rows:
    """A model that answers rows of features."""

    titles: tuple[str, ...] = ()

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def answers(self, questions: Questions) -> tuple[tuple[tuple[float, ...], ...], ...]:
        import numpy as np

        rows: Any = np.asarray(questions.rows, dtype=self.graph.input_type)
        answers_of_all = self.graph.run(rows).tolist()
        answers: list[tuple[tuple[float, ...], ...]] = []
        at = 0
        for count in questions.counts:
            answers.append(tuple(tuple(row) for row in answers_of_all[at : at + count]))
            at += count
        return tuple(answers)


class _Titles:
    """A model that answers histories, each a row of titles by number."""

    def __init__(self, model: TitleModel, count: int) -> None:
        self.graph = model.graph
        self.titles = model.numbers.titles
        self._model = model
        self._count = count

    def answers(self, questions: Questions) -> tuple[tuple[tuple[float, ...], ...], ...]:
        return tuple(self._answer(row) for row in questions.rows)

    def _answer(self, row: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
        import numpy as np

        history = np.asarray(row, dtype=np.int64)
        found, chances = self._model.numbers.likeliest(
            self._model.probabilities(history), history, self._count, exclude_seen=True
        )
        return tuple(found.tolist()), tuple(chances.tolist())


def _model(loaded: Artifact, orders: Orders) -> _Rows | _Titles:
    from predictor.kinds import RECOMMEND
    from predictor.recommend.served import TitleModel
    from predictor.runtime import open_graph

    if orders.kind == RECOMMEND:
        return _Titles(TitleModel(loaded), orders.answers)
    return _Rows(open_graph(loaded))


def _load(orders: Orders) -> Artifact:
    """Raises NearcastError, MemoryError or OSError."""
    from predictor import artifact
    from predictor.runtime import default_model_folder
    from predictor.signature import Trust

    is_shipped = orders.folder == DEFAULT_FOLDER
    folder = default_model_folder() if is_shipped else Path(orders.folder)
    trust = None
    if orders.needs_signature and not is_shipped:  # that is a part of this program
        trust = Trust.read(orders.public_keys, revoked=orders.revoked_keys)
    return artifact.load(folder, kind=orders.kind, trust=trust)


def _middle_s(loaded: Artifact, graph: Graph) -> float:
    import numpy as np

    times_s = []
    for golden in loaded.manifest.golden.inputs:
        row: Any = np.asarray([golden], dtype=graph.input_type)
        begun_s = time.perf_counter()
        graph.run(row)
        times_s.append(time.perf_counter() - begun_s)
    return sorted(times_s)[len(times_s) // 2]


def _send(stream: BinaryIO, message: ToNode) -> None:
    text = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.flush()


def _receive(stream: BinaryIO) -> Questions | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return msgspec.msgpack.decode(stream.read(_LENGTH.unpack(head)[0]), type=Questions)


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    if sys.platform == "linux":
        # RLIMIT_AS would count what onnxruntime maps and never touches.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
