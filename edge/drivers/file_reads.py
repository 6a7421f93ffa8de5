"""Reading files without ever stopping the loop.

What is in the page cache is read at once: `preadv` with RWF_NOWAIT gives it or says that it would
have to wait for the disk. Then, or where the system or the file system has no such flag (tmpfs,
macOS), the read goes to a reader thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from edge.drivers.body import Buffer

READER_THREADS: Final = 4
PROBE_STEP_BYTES: Final = 128 * 1024
"""The kernel reads ahead, and mostly evicts, in runs of this order; a probe costs 1 us."""

ResultT = TypeVar("ResultT")
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_PROBE: Final = bytearray(1)


class FileReads:
    """The reads of one edge, all from one file system."""

    def __init__(self) -> None:
        self._nowait: int = getattr(os, "RWF_NOWAIT", 0)
        self._threads = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="edge-read")

    def read_now(self, fd: int, offset: int, limit_bytes: int) -> Buffer | None:
        """Some bytes that are in the page cache; None when that takes a thread. Raises OSError.

        Empty at the end of the file.
        """
        if not self._nowait:
            return None
        content = bytearray(limit_bytes)
        try:
            count = os.preadv(fd, [content], offset, self._nowait)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._nowait = 0
            return None
        return memoryview(content)[:count]

    def is_cached(self, fd: int, offset: int, size_bytes: int) -> bool:
        """Whether sending this part would, as far as a few probes tell, not wait for the disk."""
        if not self._nowait or size_bytes <= 0:
            return size_bytes <= 0
        last = offset + size_bytes - 1
        try:
            for place in range(offset, last, PROBE_STEP_BYTES):
                os.preadv(fd, (_PROBE,), place, self._nowait)
            os.preadv(fd, (_PROBE,), last, self._nowait)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                self._nowait = 0
            return False
        return True

    def start(
        self,
        work: Callable[[], ResultT],
        done: Callable[[asyncio.Future[ResultT]], None],
    ) -> None:
        """Run `work` in a reader thread, then `done` on the loop."""
        self.submit(work).add_done_callback(done)

    def submit(self, work: Callable[[], ResultT]) -> asyncio.Future[ResultT]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Wait for the reads under way."""
        self._threads.shutdown()
