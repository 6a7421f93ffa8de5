"""What happened, as typed events: the live node and the simulator write the same ones.

A machine records through an injected `Recorder`; who listens (nobody, a list, a file, a digest)
is the driver's business. Recorded events are msgspec structs with a `tag`, so one report tool
reads both.
"""

from __future__ import annotations

import hashlib
from typing import IO, Protocol

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all recorded events; `at_s` is the machine's time."""

    at_s: float


class Recorder(Protocol):
    def record(self, record: Record) -> None: ...


class NullRecorder:
    """Listens to nothing."""

    def record(self, record: Record) -> None:
        pass


class ListRecorder:
    """Keeps everything; for simulations and tests, whose length is bounded."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def record(self, record: Record) -> None:
        self.records.append(record)


class DigestRecorder:
    """A SHA-256 over every record in order: two runs decided the same if their digests agree."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self.record_count = 0

    def record(self, record: Record) -> None:
        self._hash.update(self._encoder.encode(record))
        self._hash.update(b"\n")
        self.record_count += 1

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class JsonlRecorder:
    """One JSON line per record into an open binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def record(self, record: Record) -> None:
        self._file.write(self._encoder.encode(record) + b"\n")


class FanOut:
    """Passes each record on to several recorders."""

    def __init__(self, *recorders: Recorder) -> None:
        self._recorders = recorders

    def record(self, record: Record) -> None:
        for recorder in self._recorders:
            recorder.record(record)
