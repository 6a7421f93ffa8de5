"""Carries a large body to the store while it grows.

Small bodies never come here: they go to the store whole, when they are committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from edge.drivers.body import Buffer
from edge.drivers.store.checksums import BlockSums
from edge.drivers.store.disk import DiskStore
from edge.drivers.store.thread import StoreThread
from edge.drivers.store.types import StoreError
from edge.drivers.store.volumes import BodyWriter
from edge.effects import StoredObject
from edge.pacing import SPOOL_BYTES


class Spool:
    """Writes one body. `on_failure` is called once, on the loop, when the disk cannot take it."""

    def __init__(
        self,
        store: DiskStore,
        thread: StoreThread,
        *,
        on_written: Callable[[int], None],
        on_failure: Callable[[StoreError], None],
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
        self._is_over = False
        self._is_abandoned = False
        # The store thread's alone:
        self._writer: BodyWriter | None = None
        self._sums = BlockSums()

    def add(self, chunk: Buffer) -> None:
        if self.failure is not None or self._is_over:
            return
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        if self._batch_bytes >= SPOOL_BYTES:
            batch, size_bytes = self._take_batch()
            self._thread.submit(
                lambda: self._write(batch), size_bytes=size_bytes, done=self._written
            )

    def commit(self, stored: StoredObject, on_failure: Callable[[StoreError], None]) -> None:
        """Make it an object; the thread reports it as committed, or `on_failure` is called."""
        self._on_failure = on_failure
        batch, size_bytes = self._take_batch()
        self._is_over = True
        self._thread.submit(
            lambda: self._finish(batch, stored), size_bytes=size_bytes, done=self._finished
        )

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

    def _take_batch(self) -> tuple[Sequence[Buffer], int]:
        batch, size_bytes = self._batch, self._batch_bytes
        self._batch, self._batch_bytes = [], 0
        return batch, size_bytes

    def _write(self, batch: Sequence[Buffer]) -> tuple[int, int | None]:
        """How much is on disk now, and a new descriptor to read it."""
        if self._is_abandoned:
            return 0, None
        read_fd = None
        if self._writer is None:
            self._writer = self._store.begin()
            read_fd = self._store.open_file(self._writer.no)
        self._store.write(self._writer, batch)
        for chunk in batch:
            self._sums.add(chunk)
        return self._writer.size_bytes, read_fd

    def _finish(self, batch: Sequence[Buffer], stored: StoredObject) -> None:
        if self.failure is not None:
            raise StoreError(self.failure)
        _, read_fd = self._write(batch)
        if read_fd is not None:
            os.close(read_fd)
        assert self._writer is not None
        if self._writer.size_bytes != stored.size_bytes:
            raise StoreError(f"{self._writer.size_bytes} bytes were written instead")
        self._store.finish(self._writer, stored, self._sums.sums())

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()

    def _written(self, result: tuple[int, int | None] | None, error: StoreError | None) -> None:
        if result is not None:
            written_bytes, read_fd = result
            self.read_fd = read_fd if read_fd is not None else self.read_fd
            self._on_written(written_bytes)
        else:
            self._finished(None, error)

    def _finished(self, _: None, error: StoreError | None) -> None:
        if error is not None and self.failure is None:
            self.failure = str(error)
            self._batch.clear()
            self._thread.submit(self._abort)
            self._on_failure(error)
