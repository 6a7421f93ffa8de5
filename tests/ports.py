"""Ports for processes that must be told theirs beforehand.

A port that the system gave, closed again and written into a command line may be somebody else's
when the process listens there: another worker of the same run asks the system as well, and so does
every outgoing connection. So these are from below what the system gives, each worker has its own
hundred, and none is given twice.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Final

FIRST: Final = 21_000
"""Linux gives ports from 32,768 on."""
PER_WORKER: Final = 100
WORKERS_MAX: Final = 100


def _ports() -> Iterator[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    worker_index = int(worker.removeprefix("gw") or 0) % WORKERS_MAX
    begin = FIRST + worker_index * PER_WORKER
    # Two runs on one machine rarely begin at the same one.
    offset = os.getpid() % PER_WORKER
    for number in range(PER_WORKER):
        yield begin + (offset + number) % PER_WORKER


_LEFT: Final = _ports()


def free_port() -> int:
    """On which nobody listens now, and no other test of this run will."""
    for port in _LEFT:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError(f"{PER_WORKER} ports were not enough for one worker: raise PER_WORKER")
