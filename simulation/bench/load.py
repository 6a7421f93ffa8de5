"""What a load generator is told and what it says: one JSON line each way.

A generator runs as a process of its own (`simulation.bench.generator`), so that what it costs is
never taken from a server under test. It connects first and says so, then waits for the word to
begin: what connections and TLS handshakes cost stays out of the cost of a request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.processes import LOAD_CORE, Process, process

SAMPLES_MAX = 2000
"""Of each kind of time in an answer: enough for a p99, few enough for one line of JSON."""


class Ask(msgspec.Struct, frozen=True):
    """One request: `target` and `headers` may hold one `%d`, replaced by a number that is new in
    every request. `size_bytes` is the length of the body that must come."""

    target: str
    size_bytes: int
    headers: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that each ask again once they are answered, or at a steady rate."""

    port: int
    asks: tuple[Ask, ...]
    connection_count: int
    duration_s: float
    status: int = 200
    first_number: int = 0
    rate_per_s: float | None = None
    is_tls: bool = False


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """What one run saw. Times are sorted and thinned out evenly; all answers were checked for
    status and length."""

    request_count: int
    body_bytes: int
    duration_s: float
    ttfb_s: tuple[float, ...]
    latency_s: tuple[float, ...]

    @property
    def requests_per_s(self) -> float:
        return self.request_count / self.duration_s


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Why a run is no measurement; completes "it answered ..."."""

    failure: str


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """All connections are open."""


Word = Load | Failed | Connected


def percentile(ordered: tuple[float, ...], share: float) -> float:
    """Of sorted values; the one below."""
    return ordered[int(share * (len(ordered) - 1))]


class Generator:
    """A generator process, one job at a time."""

    def __init__(self, child: Process) -> None:
        self._child = child
        self._number = 0

    def connect(self, job: Job) -> None:
        """Open the connections. Raises NearcastError when that fails."""
        numbered = msgspec.structs.replace(job, first_number=self._number)
        self._tell(msgspec.json.encode(numbered).decode())
        self._hear()

    def begin(self) -> None:
        self._tell("go")

    def result(self) -> Load:
        """Wait for the end of the job. Raises NearcastError for an answer that was not right."""
        load = self._hear()
        assert isinstance(load, Load), load
        self._number += load.request_count + 10_000  # and those that were under way
        return load

    def run(self, job: Job) -> Load:
        self.connect(job)
        self.begin()
        return self.result()

    def _tell(self, line: str) -> None:
        assert self._child.popen.stdin is not None
        self._child.popen.stdin.write(line + "\n")
        self._child.popen.stdin.flush()

    def _hear(self) -> Word:
        word: Word = msgspec.json.decode(self._child.first_line(), type=Word)
        if isinstance(word, Failed):
            raise NearcastError(f"a server answered {word.failure}; nothing was measured")
        return word


@contextmanager
def generator(name: str = "generator") -> Iterator[Generator]:
    """A generator on the load core, for as long as the context is open."""
    arguments = [sys.executable, "-m", "simulation.bench.generator"]
    with process(name, arguments, core=LOAD_CORE) as child:
        yield Generator(child)
