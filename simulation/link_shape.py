"""Settings of a shaped link, for `nearcast shape` and for scenarios."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nearcast.config import Section
from nearcast.errors import InputError
from nearcast.trace import Trace
from nearcast.trace_files import read_trace
from nearcast.units import s_from_ms
from simulation.link import Link
from simulation.slow_start import SlowStart
from simulation.trace import find_trace

UP_KBPS_DEFAULT = 20_000.0


class LinkShape(Section, frozen=True, kw_only=True):
    """How fast and how far: a trace or a rate downstream, a rate or a trace upstream, a delay each
    way. Traces are files or names of shipped ones. With `slow_start` the window of each connection
    grows as that of TCP (simulation.slow_start)."""

    trace: str | None = None
    trace_id: str | None = None
    rate_kbps: float | None = None
    up_trace: str | None = None
    up_kbps: float | None = None
    delay_ms: float = 0.0
    offset_s: float = 0.0  # where in its trace the link begins
    from_client: bool = False  # the trace begins with the first connection
    slow_start: bool = False  # each connection has a congestion window

    def __post_init__(self) -> None:
        if (self.trace is None) == (self.rate_kbps is None):
            raise ValueError("give either trace or rate_kbps")
        if self.up_trace is not None and self.up_kbps is not None:
            raise ValueError("give either up_trace or up_kbps")
        if self.trace_id is not None and self.trace is None:
            raise ValueError("trace_id needs a trace file")
        if not 0 <= self.delay_ms <= 60_000:
            raise ValueError(f"delay_ms must be from 0 to 60000, got {self.delay_ms:g}")
        if not 0 <= self.offset_s < float("inf"):
            raise ValueError(f"offset_s must not be negative, got {self.offset_s:g}")

    @property
    def delay_s(self) -> float:
        """Each way."""
        return s_from_ms(self.delay_ms)

    @property
    def round_trip_s(self) -> float:
        return 2 * self.delay_s

    def down_trace(self, folder: Path | None = None) -> Trace:
        """Raises InputError for a file or rate that cannot be used."""
        if self.trace is None:
            assert self.rate_kbps is not None, "checked on construction"
            return Trace.constant(self.rate_kbps)
        if self.trace_id is not None:
            return read_trace(
                Path(self.trace) if folder is None else folder / self.trace, self.trace_id
            )
        return find_trace(self.trace, folder=folder)

    def upstream_trace(self, folder: Path | None = None) -> Trace:
        if self.up_trace is not None:
            return find_trace(self.up_trace, folder=folder)
        return Trace.constant(UP_KBPS_DEFAULT if self.up_kbps is None else self.up_kbps)

    def build(self, *, start_s: float = 0.0, folder: Path | None = None) -> tuple[Link, Link]:
        """The two directions, up and down; their traces begin at `start_s`."""
        begin_s = (0.0 if self.from_client else start_s) - self.offset_s
        slow_start = SlowStart() if self.slow_start else None
        up, down = (
            Link(
                trace,
                delay_s=self.delay_s,
                start_s=begin_s,
                slow_start=slow_start,
                begins_with_flow=self.from_client,
            )
            for trace in (self.upstream_trace(folder), self.down_trace(folder))
        )
        return up, down


class ProxySpec(LinkShape, frozen=True, kw_only=True):
    """One shaped link of `nearcast shape`: where it listens and where it leads."""

    to: str
    listen: str = "127.0.0.1:0"
    name: str = "link"


def read_links(path: Path) -> tuple[ProxySpec, ...]:
    """The links of a JSON file: a list of objects with the fields of `ProxySpec`.

    Raises InputError that names the file and what is wrong in it.
    """
    try:
        specs = msgspec.json.decode(path.read_bytes(), type=tuple[ProxySpec, ...])
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: {error}") from error
    if not specs:
        raise InputError(f"{path} names no link")
    names = [spec.name for spec in specs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{path}: two links are called {doubled[0]!r}")
    return specs
