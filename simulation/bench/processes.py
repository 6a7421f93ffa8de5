"""Servers and generators as child processes: pinned to a core, measured whole, ended by their id.

CPU is the scheduler's own count of run time in nanoseconds, over the process and all below it,
threads that have ended included. A busy neighbour costs a server nothing in that figure; what it
lacks is only work the kernel does for nobody (writing dirty pages back, interrupts).
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from nearcast.errors import NearcastError

READY_S = 20.0
STOP_S = 10.0
DESCRIPTORS = 16_384
"""A thousand connections at both ends, and the peers' own files."""

SERVER_CORE = 0
LOAD_CORE = 1
"""Generator and origin: what they cost must not be taken from the server."""


class Process:
    """One child and everything below it."""

    def __init__(self, name: str, popen: subprocess.Popen[str], log: IO[str]) -> None:
        self.name = name
        self.popen = popen
        self._log = log

    @property
    def pids(self) -> tuple[int, ...]:
        found = [self.popen.pid]
        for pid in found:  # grows while it is walked
            found += _children(pid)
        return tuple(found)

    def cpu_s(self) -> float | None:
        """Run time so far; None where another process's clock cannot be read."""
        total_s = 0.0
        for pid in self.pids:
            try:
                total_s += time.clock_gettime(_process_clock(pid))
            except OSError:
                return None
        return total_s

    def pss_bytes(self) -> int | None:
        """Memory with shared pages divided among those who share them; None without /proc."""
        total_bytes = 0
        for pid in self.pids:
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                return None
            total_bytes += next(
                int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:")
            )
        return total_bytes

    def first_line(self) -> str:
        """What it prints when it is ready. Raises NearcastError with its own words if it ends."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise NearcastError(f"{self.name} did not start: {self._last_words()}")
        return line

    def wait_for_port(self, port: int) -> None:
        """Until it accepts connections. Raises NearcastError after READY_S."""
        deadline_s = time.perf_counter() + READY_S
        while time.perf_counter() < deadline_s and self.popen.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        if self.popen.poll() is None:
            raise NearcastError(f"{self.name} did not accept within {READY_S:.0f} s")
        raise NearcastError(f"{self.name} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        self.popen.wait(STOP_S)
        self._log.seek(0)
        return self._log.read().strip()[-400:]


def _process_clock(pid: int) -> int:
    """CLOCK_PROCESS_CPUTIME_ID of another process, as clock_getcpuclockid(3) makes it on Linux."""
    return (~pid << 3) | 2


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            found += [int(one) for one in (task / "children").read_text().split()]
    except OSError:
        pass  # it has just ended, or there is no /proc
    return found


@contextlib.contextmanager
def process(name: str, arguments: Sequence[str], *, core: int) -> Iterator[Process]:
    """A child on this core; on the way out it is asked to end, and killed if it does not."""
    with tempfile.TemporaryFile("w+") as log:  # a pipe nobody reads would stop it one day
        with _on_core(core):
            popen = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            yield Process(name, popen, log)
        finally:
            popen.terminate()
            try:
                popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
            for pipe in (popen.stdin, popen.stdout):
                with contextlib.suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Children started inside inherit the core."""
    before = os.sched_getaffinity(0)
    allowed = sorted(before)
    os.sched_setaffinity(0, {allowed[core % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_descriptor_limit() -> None:
    """A thousand connections need more than the usual 1024; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
