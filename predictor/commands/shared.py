"""What all training commands check first, and the progress they show."""

from __future__ import annotations

import importlib.util
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
    """Find out before minutes of training, not after."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}") from error
