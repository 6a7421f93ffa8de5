"""The demo's processes: started by the public command line, ended whatever happens."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from nearcast.errors import NearcastError

READY_S = 30.0
STOP_S = 10.0


class ProcessFailed(NearcastError):
    """One of the demo's own processes did not start, or died."""

    exit_code = 1


class Running:
    """One `nearcast ...` process; its output goes to a log, its first line on stdout is `ready`."""

    def __init__(self, name: str, arguments: Sequence[str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._log: IO[bytes] = log_file.open("wb")
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nearcast", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Ctrl-C reaches us alone; we end the others in order.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(queue.Full):
                self._lines.put_nowait(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, timeout_s: float = READY_S) -> str:
        """The next line of standard output. Raises ProcessFailed when none comes."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise ProcessFailed(f"{self.name} said nothing for {timeout_s:.0f} s") from None
        if line is None:
            raise ProcessFailed(f"{self.name} ended before it was ready: {self.tail()}")
        return line

    def wait(self, timeout_s: float) -> None:
        """Wait until it has done its work. Raises ProcessFailed when it fails or takes too long."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{self.name} did not finish within {timeout_s:.0f} s") from None
        if status != 0:
            raise ProcessFailed(f"{self.name} failed with status {status}: {self.tail()}")

    def tail(self) -> str:
        """The last words of its log."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return " / ".join(text.strip().splitlines()[-4:]) or "it left no message"

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if it does not go."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


class Processes:
    """A group of processes, ended in the reverse order of their start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Running] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> Running:
        running = Running(name, arguments, self._folder / f"{name}.log")
        self._running.append(running)
        return running

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()
