"""What all training commands check first, and the progress they show."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from nearcast.errors import InputError


class Progress:
    """A bar on a terminal, a line per stage elsewhere; both on stderr."""

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("start", total=1.0)
        self._is_terminal = console.is_terminal
        self._last = ""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, stage: str, share: float) -> None:
        if not self._is_terminal and stage != self._last:
            print(stage, file=sys.stderr)
        self._last = stage
        self._bar.update(self._task, description=stage, completed=share)


def check_installed(*modules: str) -> None:
    """Name what is missing before work begins; the packages are imported only where needed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"training needs the Python packages {', '.join(missing)}; "
            "install them with: pip install 'nearcast[cpu,train]'"
        )


def check_writable(out: Path) -> None:
    """Find out before minutes of training, not after. Nothing is made: a training that is refused
    leaves no folder behind. Raises InputError."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"cannot make the folder {out}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {out}: no right to write in {there}")
