"""Leave to read: no byte of a planned fill beyond what the plan's windows, rate and bytes allow.

A planned fill reads so much and then stops until it is given more. The socket may bring a little
beyond that, at most what one read of it gives: that is a debt, paid before anybody gets new leave.
What a fill is begun for is set aside in full, so that what has begun can be brought to its end.
Nothing is given that is not written down as spent (edge.fleet.account).
"""

from __future__ import annotations

from typing import Final

from edge.fleet.account import Account
from nearcast.fill_window import GRANT_BYTES_MIN, FillClock, Grant
from nearcast.placement import EdgePlan
from nearcast.units import bytes_per_s_from_kbps

STEP_BYTES: Final = 256 * 1024
"""Leave is given in such steps, less where the plan's rate makes less in a second."""
PLANS_MAX: Final = 16
"""Plans before this one of which is known what was spent."""


class Reader:
    """One fill that reads by leave."""

    __slots__ = ("granted", "left_bytes", "received_bytes", "until_bytes")

    def __init__(self, size_bytes: int) -> None:
        self.granted: Grant | None = None
        self.left_bytes = size_bytes  # set aside, and not granted yet
        self.received_bytes = 0
        self.until_bytes = 0  # leave was given up to here


class Leave:
    """Shares the plan's clock among the fills that are under way."""

    def __init__(self) -> None:
        self.clock = FillClock()
        self.account = Account()
        self._readers: dict[int, Reader] = {}
        self._debt_bytes = 0
        self._spent: dict[str, int] = {}
        self._rate_bytes_per_s = 0.0
        self._windows_from_s: tuple[float, ...] = ()

    def follow(self, plan: EdgePlan | None, spent_bytes: int) -> None:
        """Go by this plan from now on."""
        if plan is not None and plan.plan_id == self.clock.plan_id:
            return
        if self.clock.plan_id:
            self._spent[self.clock.plan_id] = self.clock.taken_bytes
            while len(self._spent) > PLANS_MAX:
                del self._spent[next(iter(self._spent))]
        if plan is None:
            self.clock.follow(None)
            return
        # What we know is what came; what was read is what had been written ahead of it.
        spent_bytes = self._spent.pop(plan.plan_id, spent_bytes)
        self.clock.follow(plan, spent_bytes=spent_bytes)
        self.account.follow(plan, spent_bytes)
        self._rate_bytes_per_s = bytes_per_s_from_kbps(plan.fill_kbps_max)
        self._windows_from_s = tuple(
            max(window.from_wall_s, plan.valid_from_wall_s) for window in plan.windows
        )

    @property
    def left_bytes(self) -> int:
        """What may still be begun."""
        set_aside = sum(one.left_bytes for one in self._readers.values())
        return max(self.clock.left_bytes - set_aside - self._debt_bytes, 0)

    def may_begin(self, size_bytes: int, wall_s: float) -> bool:
        """Whether a fill of this size would come to its end within window and bytes."""
        window = self.clock.window(wall_s)
        if window is None or size_bytes > self.left_bytes:
            return False
        ahead_bytes = size_bytes + sum(one.left_bytes for one in self._readers.values())
        return ahead_bytes <= self._rate_bytes_per_s * (window.until_wall_s - wall_s)

    def is_open(self, wall_s: float) -> bool:
        return self.clock.window(wall_s) is not None

    def begin(self, size_bytes: int, wall_s: float) -> Reader | None:
        """Set this much aside, and give the first leave of it; None: not at this moment."""
        reader = Reader(size_bytes)
        if self.extend(reader, wall_s) is None:
            return None
        self._readers[id(reader)] = reader
        return reader

    def resize(self, reader: Reader, size_bytes: int) -> bool:
        """It turns out to be of this size. Whether there is so much left."""
        left_bytes = max(size_bytes - reader.until_bytes, 0)
        if left_bytes - reader.left_bytes > self.left_bytes:
            return False
        reader.left_bytes = left_bytes
        return True

    def received(self, reader: Reader, received_bytes: int, wall_s: float) -> bool:
        """So much is here altogether. Whether it has come to the end of its leave."""
        reader.received_bytes = max(received_bytes, reader.received_bytes)
        if reader.received_bytes < reader.until_bytes:
            return False
        over_bytes = reader.received_bytes - reader.until_bytes
        self._settle(reader, wall_s)
        self._debt_bytes += over_bytes
        reader.left_bytes = max(reader.left_bytes - over_bytes, 0)
        reader.until_bytes = reader.received_bytes
        return True

    def extend(self, reader: Reader, wall_s: float) -> int | None:
        """Up to where it may read now; None: not at this moment."""
        assert reader.granted is None, "it has not come to the end of its leave"
        if not self._pay(wall_s):
            return None
        # One whose size nobody has announced may be larger than it was taken for.
        grant = self._take(min(reader.left_bytes or STEP_BYTES, STEP_BYTES), wall_s)
        if grant is None:
            return None
        reader.granted = grant
        reader.left_bytes = max(reader.left_bytes - grant.size_bytes, 0)
        reader.until_bytes = reader.received_bytes + grant.size_bytes
        return reader.until_bytes

    def end(self, reader: Reader, received_bytes: int, wall_s: float) -> None:
        """It is over, or no planned fill any more."""
        self.received(reader, received_bytes, wall_s)
        self._settle(reader, wall_s)
        self._readers.pop(id(reader), None)

    def next_window_s(self, wall_s: float) -> float | None:
        """When the next window opens."""
        return min((from_s for from_s in self._windows_from_s if from_s > wall_s), default=None)

    def next_s(self, wall_s: float) -> float | None:
        """When more may be had, by the plan's clock; None: not by time alone."""
        return None if self.is_unwritten else self.clock.next_s(wall_s)

    @property
    def is_unwritten(self) -> bool:
        """Whether nothing can be had before it is written down as spent."""
        return self._written_bytes() < min(GRANT_BYTES_MIN, self.clock.left_bytes)

    def _written_bytes(self) -> int:
        """What may come by what is written down."""
        return self.account.room_bytes(self.clock.taken_bytes)

    def _take(self, wanted_bytes: int, wall_s: float) -> Grant | None:
        written_bytes = self._written_bytes()
        if written_bytes < min(wanted_bytes, GRANT_BYTES_MIN, self.clock.left_bytes):
            return None
        return self.clock.take(min(wanted_bytes, max(written_bytes, 1)), wall_s)

    def _settle(self, reader: Reader, wall_s: float) -> None:
        grant, reader.granted = reader.granted, None
        if grant is not None:
            begun_bytes = reader.until_bytes - grant.size_bytes
            arrived_bytes = min(max(reader.received_bytes - begun_bytes, 0), grant.size_bytes)
            self.clock.settle(grant, arrived_bytes, wall_s)

    def _pay(self, wall_s: float) -> bool:
        """What came beyond leave comes off what the clock gives first."""
        while self._debt_bytes:
            grant = self._take(self._debt_bytes, wall_s)
            if grant is None:
                return False
            self.clock.settle(grant, grant.size_bytes, wall_s)
            self._debt_bytes -= grant.size_bytes
        return True
