"""The traces that come with Nearcast, and finding one by its name or its file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from nearcast.errors import InputError
from nearcast.trace import Trace
from nearcast.trace_files import read_trace

SHIPPED_NAMES = ("fibre", "cable", "wifi", "mobile", "mobile-poor")


def shipped_trace(name: str) -> Trace:
    """One of the traces that come with Nearcast, by name."""
    if name not in SHIPPED_NAMES:
        raise InputError(f"no trace is called {name!r}; there are {', '.join(SHIPPED_NAMES)}")
    return read_trace(Path(str(files("simulation.traces").joinpath(f"{name}.csv"))))


def find_trace(name_or_path: str, *, folder: Path | None = None) -> Trace:
    """A shipped trace by its name, else the file (relative to `folder`)."""
    if name_or_path in SHIPPED_NAMES:
        return shipped_trace(name_or_path)
    path = Path(name_or_path) if folder is None else folder / name_or_path
    if not path.exists() and path.suffix == "":
        raise InputError(
            f"{name_or_path!r} is neither a file nor a shipped trace ({', '.join(SHIPPED_NAMES)})"
        )
    return read_trace(path)
