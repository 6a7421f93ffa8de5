"""Whether the store takes what it should, and what operators are told about it.

A store that fails is left alone for some seconds, so that a node with a full or broken disk pays
for one attempt now and then and serves everybody else as if it had no store. One log line tells
of each change, and none of each failure.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Final, Literal

from edge.drivers.store_types import StoreError

logger = logging.getLogger(__name__)

RETRY_S: Final = 2.0

StoreState = Literal["ok", "full", "read-only", "failing"]
_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})


class StoreHealth:
    """What has gone wrong with the store, and whether to try again."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.state: StoreState = "ok"
        self.failure_count = 0
        """Times the disk did not take or give what it should."""
        self.failure_last: str | None = None
        self.damaged_count = 0
        """Objects that turned out damaged or missing."""
        self._now_s = now_s
        self._retry_s = 0.0

    def may_try(self) -> bool:
        """Whether to store the next object. While the store fails, one in RETRY_S may."""
        if self.state == "ok":
            return True
        now_s = self._now_s()
        if now_s < self._retry_s:
            return False
        self._retry_s = now_s + RETRY_S
        return True

    def failed(self, error: StoreError) -> None:
        """The disk did not take something."""
        if error.code == errno.EFBIG:
            self.noted(error)  # too large a file for the system; others are not
            return
        state: StoreState = "failing"
        if error.is_full:
            state = "full"
        elif error.code == errno.EROFS:
            state = "read-only"
        self._retry_s = self._now_s() + RETRY_S
        self.failure_count += 1
        self.failure_last = str(error)
        if state != self.state:
            self.state = state
            logger.error("store.refuses state=%s detail=%s", state, error)

    def noted(self, error: StoreError) -> None:
        """Something else went wrong with it."""
        self.failure_count += 1
        if str(error) != self.failure_last and self.state == "ok":
            logger.error("store.failed detail=%s", error)
        self.failure_last = str(error)

    def worked(self) -> None:
        """The disk took something."""
        if self.state != "ok":
            self.state = "ok"
            logger.warning("store.recovered")


def is_out_of_descriptors(error: StoreError) -> bool:
    return error.code in _DESCRIPTORS
