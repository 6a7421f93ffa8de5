"""Recorded throughput as links whose capacity is integrated exactly, many at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.trace_files import family_name, read_traces

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

ENDINGS = (".csv", ".csv.gz", ".csv.xz")
# A link that is dead for good would never end a transfer; this carries a bit in a while.
_KBPS_MIN = 0.05
DURATION_S_MIN = 600.0
"""Of all traces together: some three sessions. Less says nothing of a network."""
TRACES_ENOUGH = 10
"""With fewer, a fold has one or two and its measure is chance."""
_SIBLING = re.compile(r"(?<=\d)_")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A rate holds from its time to the next one; the last time is the end."""

    family: str
    trace_id: str
    times_s: Floats
    kbps: Floats  # one fewer than times


class Links:
    """Traces laid end to end, so that one search answers for sessions on different ones.

    Each repeats for ever. A session may see its trace rescaled and stretched: `scale` times the
    rate, `stretch` times as slowly.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        self.traces = tuple(traces)
        self.duration_s = np.array([trace.times_s[-1] for trace in traces])
        kbit = [np.diff(trace.times_s) * np.maximum(trace.kbps, _KBPS_MIN) for trace in traces]
        self.total_kbit = np.array([each.sum() for each in kbit])
        self._start_s = np.concatenate([[0.0], np.cumsum(self.duration_s)[:-1]])
        self._start_kbit = np.concatenate([[0.0], np.cumsum(self.total_kbit)[:-1]])
        pairs = list(zip(traces, kbit, self._start_s, self._start_kbit, strict=True))
        self._edges_s = np.concatenate([trace.times_s + at_s for trace, _, at_s, _ in pairs])
        self._edges_kbit = np.concatenate(
            [at + np.concatenate([[0.0], np.cumsum(each)]) for _, each, _, at in pairs]
        )

    def kbit_until(self, trace: Indices, time_s: Floats) -> Floats:
        """(n,): carried from the trace's start to `time_s`, laps included."""
        laps = np.floor(time_s / self.duration_s[trace])
        within_s = time_s - laps * self.duration_s[trace]
        at = np.interp(self._start_s[trace] + within_s, self._edges_s, self._edges_kbit)
        return np.asarray(laps * self.total_kbit[trace] + at - self._start_kbit[trace])

    def when_s(self, trace: Indices, kbit: Floats) -> Floats:
        """(n,): when `kbit` have been carried since the trace's start."""
        laps = np.floor(kbit / self.total_kbit[trace])
        within = kbit - laps * self.total_kbit[trace]
        at = np.interp(self._start_kbit[trace] + within, self._edges_kbit, self._edges_s)
        return np.asarray(laps * self.duration_s[trace] + at - self._start_s[trace])


def read_family(path: Path) -> tuple[list[Trace], str]:
    """The traces of one file, which is a family, and the SHA-256 of its bytes.

    Raises InputError naming file and line.
    """
    family = family_name(path)
    traces = [
        Trace(
            family=family,
            trace_id=trace_id,
            times_s=np.array(trace.times_s),
            kbps=np.array(trace.rates_kbps),
        )
        for trace_id, trace in read_traces(path)
    ]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return traces, hashlib.sha256(content).hexdigest()


def read_files(paths: Sequence[Path]) -> tuple[list[Trace], dict[str, str]]:
    """All traces, and the SHA-256 of each file by its family. Raises InputError."""
    traces: list[Trace] = []
    digests: dict[str, str] = {}
    for path in _files(paths):
        found, digest = read_family(path)
        if found[0].family in digests:
            raise InputError(f"{path}: another file is called {found[0].family} too")
        digests[found[0].family] = digest
        traces += found
    return traces, digests


def check_enough(traces: Sequence[Trace]) -> str:
    """What to warn of, or nothing. Raises InputError for traces that are too short to learn from;
    none at all is well, as generated links are there."""
    if not traces:
        return ""
    duration_s = sum(float(trace.times_s[-1] - trace.times_s[0]) for trace in traces)
    plural = "" if len(traces) == 1 else "s"
    told = f"--data has {len(traces)} trace{plural} of {duration_s:.0f} s in all"
    if duration_s < DURATION_S_MIN:
        raise InputError(f"{told}; training needs {DURATION_S_MIN:.0f} s at least")
    if len(traces) < TRACES_ENOUGH:
        return (
            f"{told}: the model and its measure will say little (better: {TRACES_ENOUGH} or more)"
        )
    return ""


def _files(paths: Sequence[Path]) -> list[Path]:
    """Folders stand for the CSV files in them."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(file for ending in ENDINGS for file in path.glob(f"*{ending}"))
        if not inside:
            raise InputError(f"{path}: there is no {', '.join(ENDINGS)} file in it")
        files += inside
    return files


def is_held_out(trace: Trace, fold: int, folds: int) -> bool:
    """Whether a trace belongs to the fold, by the hash of its name, so that it stays where it is.

    What stands before the first number's underscore counts: days, drives and probes have many
    traces (`fcc-trace_10652_...`, `norway3g-2010-11-10_...`), and siblings must not be parted.
    """
    group = f"{trace.family}|{_SIBLING.split(trace.trace_id)[0]}".encode()
    return int.from_bytes(hashlib.sha256(group).digest()[:8], "big") % folds == fold
