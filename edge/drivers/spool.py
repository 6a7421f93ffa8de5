"""Carries the bytes of one body to the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from edge.drivers.body import Buffer
from edge.drivers.disk import DiskStore, StoreError, Writer
from edge.drivers.store_thread import StoreThread
from edge.events import StoredObject

BATCH_BYTES: Final = 1 << 20
"""One write per chunk as it comes costs far more CPU than one per megabyte."""


class Spool:
    """Writes one body. `on_failure` is called once, on the loop, when the disk cannot take it."""

    def __init__(
        self,
        store: DiskStore,
        thread: StoreThread,
        *,
        on_written: Callable[[int], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self.failure: str | None = None
        self.read_fd: int | None = None
        """The written part, for readers that lag; open from the first batch to `close`."""
        self._store = store
        self._thread = thread
        self._on_written = on_written
        self._on_failure = on_failure
        self._batch: list[Buffer] = []
        self._batch_bytes = 0
        self._handed_bytes = 0
        self._writer: Writer | None = None  # the store thread's alone, and so is the next
        self._write_failure: str | None = None
        self._is_over = False
        self._is_abandoned = False

    def add(self, chunk: Buffer) -> None:
        if self.failure is not None:
            return
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        if self._batch_bytes >= BATCH_BYTES:
            batch = self._take_batch()
            self._handed_bytes += len(batch)
            written = self._thread.submit(self._write, batch, size_bytes=len(batch))
            written.add_done_callback(self._written)

    def commit(self, stored: StoredObject) -> asyncio.Future[None]:
        """Make it an object. The future raises StoreError when it could not be."""
        batch = self._take_batch()
        self._is_over = True
        return self._thread.submit(self._finish, batch, stored, size_bytes=len(batch))

    def abandon(self) -> None:
        """Leave nothing on disk; a read descriptor stays usable until `close`."""
        self._batch.clear()
        if not self._is_over:
            self._is_over = self._is_abandoned = True
            self._thread.submit(self._abort)

    def close(self) -> None:
        if self.read_fd is not None:
            os.close(self.read_fd)
            self.read_fd = None

    def _take_batch(self) -> bytes:
        batch = b"".join(self._batch)
        self._batch.clear()
        self._batch_bytes = 0
        return batch

    def _write(self, batch: bytes) -> tuple[int, int | None]:
        """How much is on disk now, and a new descriptor to read it."""
        if self._is_abandoned:
            return 0, None
        read_fd = None
        try:
            if self._writer is None:
                self._writer = self._store.begin()
                read_fd = self._writer.open_for_reading()
            self._writer.write(batch)
        except StoreError as error:
            # The commit may be in the queue already, before the loop hears of this.
            self._write_failure = str(error)
            raise
        return self._writer.size_bytes, read_fd

    def _finish(self, batch: bytes, stored: StoredObject) -> None:
        if self._write_failure is not None:
            raise StoreError(self._write_failure)
        if self._writer is None:
            self._writer = self._store.begin()
        if batch:
            self._writer.write(batch)
        self._writer.finish(stored)

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()

    def _written(self, future: asyncio.Future[tuple[int, int | None]]) -> None:
        error = future.exception()
        if error is None:
            written_bytes, read_fd = future.result()
            self.read_fd = read_fd if read_fd is not None else self.read_fd
            self._on_written(written_bytes)
        elif self.failure is None:
            self.failure = str(error)
            self._batch.clear()
            self._on_failure(self.failure)
