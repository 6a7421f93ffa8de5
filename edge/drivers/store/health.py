"""Whether the store takes what it should, and what operators are told about it.

A store that fails is left alone for some seconds, so that a node with a full or broken disk pays
for one attempt now and then and serves everybody else as if it had no store. Writing may go well
where reading does not: a folder that was moved away takes what is written to its open files, and
gives nothing back. One log line tells of each change, and none of each failure.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Final, Literal

from edge.drivers.store.types import StoreError

logger = logging.getLogger(__name__)

RETRY_S: Final = 2.0
LOST_AGAIN_S: Final = 60.0
"""Objects lost for the same reason are logged so seldom."""
UNREADABLE_MAX: Final = 3
"""Openings and readings in a row that failed; one or two may be single files that are gone."""

StoreState = Literal["ok", "full", "read-only", "failing"]
_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})


class StoreHealth:
    """What has gone wrong with the store, and whether to try again."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.failure_count = 0
        """Times the disk did not take or give what it should."""
        self.failure_last: str | None = None
        self.damaged_count = 0
        """Objects that turned out damaged or missing."""
        self._now_s = now_s
        self._retry_s = 0.0
        self._takes: StoreState = "ok"
        self._unreadable_in_a_row = 0
        self._lost_detail, self._lost_s = "", 0.0

    @property
    def state(self) -> StoreState:
        if self._takes == "ok" and self._unreadable_in_a_row >= UNREADABLE_MAX:
            return "failing"
        return self._takes

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
        before, self._takes = self.state, state
        if state != before:
            logger.error("store.refuses state=%s detail=%s", state, error)

    def unreadable(self, detail: str) -> None:
        """What should be there could not be opened or read."""
        before = self.state
        self._unreadable_in_a_row += 1
        self.failure_count += 1
        self.failure_last = detail
        if self.state != before:
            logger.error("store.unreadable state=%s detail=%s", self.state, detail)

    def readable(self) -> None:
        """Something could be opened or read."""
        if self._unreadable_in_a_row:
            before, self._unreadable_in_a_row = self.state, 0
            self._changed(before)

    def noted(self, error: StoreError) -> None:
        """Something else went wrong with it."""
        self.failure_count += 1
        if str(error) != self.failure_last and self.state == "ok":
            logger.error("store.failed detail=%s", error)
        self.failure_last = str(error)

    def lost(self, object_id: str, detail: str) -> None:
        """An object cannot be served any more. One cause is said once, and not for each."""
        now_s = self._now_s()
        is_news = detail != self._lost_detail or now_s - self._lost_s >= LOST_AGAIN_S
        if is_news and self.state == "ok":
            self._lost_detail, self._lost_s = detail, now_s
            logger.warning("object.lost object=%s detail=%s", object_id, detail)

    def worked(self) -> None:
        """The disk took something."""
        before, self._takes = self.state, "ok"
        self._changed(before)

    def _changed(self, before: StoreState) -> None:
        if before != "ok" and self.state == "ok":
            logger.warning("store.recovered")


def is_out_of_descriptors(error: StoreError) -> bool:
    return error.code in _DESCRIPTORS
