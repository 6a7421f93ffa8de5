"""Packaging in processes of their own, several files at a time."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Final

import msgspec

from nearcast.errors import InputError, NearcastError
from origin.packaging.package import Packaged, PackageOrder
from origin.packaging.worker import Failed, Finished, Progressed, Report, Started

_MODULE: Final = "origin.packaging.worker"
_STOP_S: Final = 5.0
_STDERR_BYTES_MAX: Final = 4000


class WorkerFailed(NearcastError):
    """A packaging process died."""

    exit_code = 1


class Stopped(NearcastError):
    """A packaging process was ended on purpose."""

    exit_code = 130


class DiskRefused(Exception):
    """A packaging process could not write."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class PackagingProcess:
    """One file being packaged. `run` blocks its thread; `stop` may be called from another."""

    def __init__(self, order: PackageOrder) -> None:
        self._order = order
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._lock = threading.Lock()

    def run(
        self,
        on_started: Callable[[Started], None],
        on_progress: Callable[[float], None],
    ) -> Packaged:
        """Raises InputError for a source that cannot be packaged, DiskRefused where a file cannot
        be written, Stopped after `stop`."""
        with self._lock:
            if self._is_stopped:
                raise Stopped("stopped")
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C reaches us alone; we end it.
                start_new_session=True,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        words = _Tail(process.stderr)
        try:
            last = self._converse(process.stdin, process.stdout, on_started, on_progress)
            process.wait()
        finally:
            _end(process)
            text = words.close()
            process.stdout.close()
        if self._is_stopped:
            raise Stopped("stopped")
        if isinstance(last, Finished):
            return last.packaged
        if last is None:
            raise WorkerFailed(f"{self._order.source}: {_died(process.returncode)}{text}")
        if last.errno is not None:
            raise DiskRefused(OSError(last.errno, last.message))
        if last.exit_code == InputError.exit_code:
            raise InputError(last.message)
        raise WorkerFailed(last.message)

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def _converse(
        self,
        orders: IO[bytes],
        reports: IO[bytes],
        on_started: Callable[[Started], None],
        on_progress: Callable[[float], None],
    ) -> Finished | Failed | None:
        decoder = msgspec.json.Decoder(Report)
        try:
            with orders:
                orders.write(msgspec.json.encode(self._order) + b"\n")
        except BrokenPipeError:
            return None
        last: Finished | Failed | None = None
        for line in reports:
            report = decoder.decode(line)
            if isinstance(report, Started):
                on_started(report)
            elif isinstance(report, Progressed):
                on_progress(report.done_s)
            else:
                last = report
        return last


class _Tail:
    """Keeps the last words on a pipe, reading all of it so that the writer never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._text = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._pipe:
            self._text = (self._text + line)[-_STDERR_BYTES_MAX:]

    def close(self) -> str:
        self._thread.join(_STOP_S)
        self._pipe.close()
        lines = self._text.decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _died(status: int) -> str:
    if status < 0:
        return f"the packaging process was ended by {signal.Signals(-status).name}"
    return f"the packaging process ended with status {status}"
