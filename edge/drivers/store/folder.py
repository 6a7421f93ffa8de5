"""The folder of a store: ours alone, and of no older layout."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from pathlib import Path
from typing import Final

from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

_MARKER: Final = "nearcast-store"
# What a freshly made file system may contain.
# `fleet` is what enrolling left, before the store was first used.
_HARMLESS: Final = frozenset({"lost+found", "fleet"})
_OLDER_LAYOUT: Final = ("objects", "tmp")
_TRASH: Final = "trash"


class StoreFolder:
    """Locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Raises ConfigError when it is in use by another node or full of somebody else's files,
        and OSError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = sorted(os.listdir(self.path))
        if _MARKER not in names and not _HARMLESS.issuperset(names):
            raise ConfigError(
                f"{self.path} is not empty and no store of ours (found {names[0]!r}); "
                "name an empty or a new folder"
            )
        self._lock()
        self._set_older_aside()

    def close(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def clear_trash(self) -> None:
        """Delete what an older layout left."""
        shutil.rmtree(self.path / _TRASH, ignore_errors=True)

    def _lock(self) -> None:
        lock_fd = os.open(self.path / _MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock_fd)
            raise ConfigError(
                f"the store {self.path} is in use by another edge; give each its own --store"
            ) from None
        self._lock_fd = lock_fd

    def _set_older_aside(self) -> None:
        """The layout of version 1 is not read: what it held is fetched again."""
        for name in _OLDER_LAYOUT:
            older = self.path / name
            if older.is_dir():
                trash = self.path / _TRASH
                trash.mkdir(mode=0o700, exist_ok=True)
                older.rename(trash / f"{name}-{len(os.listdir(trash))}")
                logger.warning("store.cleared folder=%s reason=older_layout", older)
