"""The inference process: one model, one thread, lowest claim to the processor.

Started by `edge.drivers.inference` with a socket, a model folder and a memory limit.
It says `Ready` or `Failed` once and then answers each `Questions` with one `Answers`. It ends when
the socket does, so it never outlives its node.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_LENGTH: Final = struct.Struct(">I")
NICENESS: Final = 10


class Questions(msgspec.Struct, frozen=True, kw_only=True, tag="questions"):
    """Rows of several questions one behind the other; `counts[i]` of them belong to `ids[i]`."""

    ids: tuple[int, ...]
    counts: tuple[int, ...]
    rows: tuple[tuple[float, ...], ...]


class Answers(msgspec.Struct, frozen=True, kw_only=True, tag="answers"):
    """For each question its rows, of each one probability per horizon; `took_s` is what the model
    took for all of them."""

    ids: tuple[int, ...]
    probabilities: tuple[tuple[tuple[float, ...], ...], ...]
    took_s: float


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    model_id: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The model cannot be used."""

    detail: str


ToNode = Ready | Answers | Failed


def main(arguments: list[str]) -> int:
    fd, model, memory_bytes = arguments
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    _limit_memory(int(memory_bytes))
    with socket.socket(fileno=int(fd)) as end, end.makefile("rwb") as stream:
        try:
            return _serve(stream, model)  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the node has gone


def _serve(stream: BinaryIO, model: str) -> int:
    import numpy as np

    from edge.prefetch.horizons import HORIZONS
    from nearcast.errors import ModelError
    from predictor.runtime import NextEpisodeModel, default_model_folder

    try:
        loaded = NextEpisodeModel.load(
            default_model_folder() if model == "default" else Path(model)
        )
        if loaded.horizons != HORIZONS:
            raise ModelError(
                f"the model answers for {', '.join(loaded.horizons)}; the planner needs "
                f"{', '.join(HORIZONS)}: train the model again"
            )
    except (ModelError, MemoryError, OSError) as error:
        _send(stream, Failed(detail=str(error) or type(error).__name__))
        return 0
    _send(stream, Ready(model_id=loaded.manifest.model_id))
    while (questions := _receive(stream)) is not None:
        begun_s = time.perf_counter()
        try:
            rows = np.asarray(questions.rows, dtype=np.float32)
            answers_of_all = loaded.probabilities(rows).tolist()
        except (ModelError, ValueError) as error:
            _send(stream, Failed(detail=str(error)))
            return 1
        took_s = time.perf_counter() - begun_s
        answers: list[tuple[tuple[float, ...], ...]] = []
        at = 0
        for count in questions.counts:
            answers.append(tuple(tuple(row) for row in answers_of_all[at : at + count]))
            at += count
        _send(stream, Answers(ids=questions.ids, probabilities=tuple(answers), took_s=took_s))
    return 0


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
