"""The namesakes of our policies in libCacheSim, on the same requests.

The library has no warm-up of its own: the cache is taken through the file in two runs, and the
first one's counts are left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulation.replay.requests import Requests

NAMESAKES: Mapping[str, str] = {
    "s3fifo": "S3FIFO",
    "sieve": "Sieve",
    "lru": "LRU",
    "arc": "ARC",
    "gdsf": "GDSF",
}
"""Classes of the library, by our policies' names."""

INSTALL = "libcachesim is not installed: pip install 'nearcast[sim]'"

_RECORD = np.dtype([("t", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""The library's oracleGeneral format, which every policy of it reads."""


class PeerRun(msgspec.Struct, frozen=True, kw_only=True):
    """One policy of the library; `cpu_s` is for the whole file, warm-up included."""

    object_miss_ratio: float
    byte_miss_ratio: float
    cpu_s: float


class Peers:
    """The requests in a file of the library's own format, for as long as the object is entered.

    Raises ImportError when the library is not installed.
    """

    def __init__(self, requests: Requests) -> None:
        import libcachesim

        self._library: Any = libcachesim
        self._requests = requests

    def __enter__(self) -> Peers:
        self._folder = tempfile.TemporaryDirectory(prefix="nearcast-replay-")
        self._file = Path(self._folder.name) / "requests.oracleGeneral"
        objects = self._requests.objects
        records = np.zeros(len(objects), dtype=_RECORD)
        records["t"] = np.arange(len(objects)) // 1000  # the policies do not look at the time
        records["id"] = objects.astype(np.uint64) + 1
        records["size"] = self._requests.sizes_bytes[objects]
        records["next"] = -1  # nobody here looks ahead
        records.tofile(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def run(self, policy: str, capacity_bytes: int, warmup_count: int) -> PeerRun | None:
        """The namesake of our policy, as the library has it by default; None if it has none."""
        name = NAMESAKES.get(policy)
        if name is None:
            return None
        library = self._library
        reader = library.TraceReader(
            trace=str(self._file), trace_type=library.TraceType.ORACLE_GENERAL_TRACE
        )
        hashpower = max(len(self._requests.sizes_bytes).bit_length(), 12)
        cache = getattr(library, name)(cache_size=capacity_bytes, hashpower=hashpower)
        begun_s = time.process_time()
        if warmup_count:
            cache.process_trace(reader, 0, warmup_count)
        object_miss_ratio, byte_miss_ratio = cache.process_trace(
            reader, warmup_count, len(self._requests.objects) - warmup_count
        )
        return PeerRun(
            object_miss_ratio=object_miss_ratio,
            byte_miss_ratio=byte_miss_ratio,
            cpu_s=time.process_time() - begun_s,
        )
