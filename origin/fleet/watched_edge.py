"""What the origin knows of one edge, between events."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from nearcast import held_digest
from nearcast.fleet import Heartbeat, Refusal
from nearcast.hashing import key_of
from origin.fleet.events import State
from origin.records import EdgeRecord

PAST_BOOTS_MAX: Final = 8
"""Of an edge: enough to know a process again that comes back after another took its place."""


class Claim:
    """What an observer said last."""

    __slots__ = ("at_s", "is_down", "since_s")

    def __init__(self, is_down: bool, at_s: float, since_s: float) -> None:
        self.is_down = is_down
        self.at_s = at_s
        self.since_s = since_s
        """When it began to say so."""


class WatchedEdge:
    """Times are the machine's, in seconds; None: never."""

    __slots__ = (
        "answered_s",
        "changed_s",
        "claims",
        "clear_since_s",
        "clock_offset_s",
        "deaths_s",
        "grace_s",
        "heartbeat",
        "heartbeat_s",
        "held",
        "held_asked_s",
        "held_id",
        "is_another_there",
        "joined_s",
        "key",
        "lost_s",
        "observed_boot_id",
        "observed_no",
        "past_boots",
        "player_errors",
        "player_errors_s",
        "player_probe_s",
        "probe_begun_s",
        "probe_failures",
        "probe_ok_s",
        "probe_rtt_s",
        "probe_started_s",
        "probed_s",
        "questioned_s",
        "reason",
        "record",
        "refused",
        "state",
        "through_other",
        "trial_until_s",
        "urgent_s",
        "wake_s",
        "was_refused",
    )

    def __init__(self, record: EdgeRecord, now_s: float) -> None:
        self.record = record
        self.key = key_of(record.edge)
        self.state: State = "unknown"
        self.changed_s = now_s
        self.reason = "not heard yet"
        # Heartbeats.
        self.heartbeat: Heartbeat | None = None
        self.heartbeat_s: float | None = None
        self.through_other = False
        self.past_boots: list[str] = []
        self.observed_boot_id = ""
        self.observed_no = 0
        self.clock_offset_s = 0.0
        self.held = held_digest.no_titles()
        self.held_id = ""
        self.held_asked_s: float | None = None
        self.refused: dict[Refusal, int] = {}
        # Evidence.
        self.joined_s = now_s
        self.grace_s = now_s  # silence counts from here on at the earliest
        self.lost_s: float | None = None
        self.questioned_s: float | None = None
        self.urgent_s: float | None = None  # a probe must begin at or after it
        self.clear_since_s: float | None = None
        self.claims: dict[str, Claim] = {}
        self.player_errors = 0
        self.player_errors_s = now_s
        self.player_probe_s: float | None = None
        # The origin's probes.
        self.probe_started_s: float | None = None  # one is under way or waits
        self.probe_begun_s: float | None = None  # when the last one began
        self.probed_s: float | None = None  # when the last answer came
        self.probe_ok_s: float | None = None  # when the last that was answered had begun
        self.answered_s: float | None = None  # when the last that was answered came back
        self.probe_rtt_s: float | None = None
        self.probe_failures = 0
        self.was_refused = False
        self.is_another_there = False  # its URL led to somebody else, when it was probed last
        # Coming back.
        self.trial_until_s: float | None = None
        self.deaths_s: list[float] = []
        self.wake_s: float | None = None

    @property
    def edge(self) -> str:
        return self.record.edge

    @property
    def is_draining(self) -> bool:
        """It takes no new players."""
        said = self.heartbeat is not None and self.heartbeat.is_draining
        return said or self.record.duty == "draining"

    @property
    def load_share(self) -> float:
        """Of its link to players."""
        if self.heartbeat is None:
            return 0.0
        return self.heartbeat.load.client_kbps / self.record.profile.link_kbps

    def holds(self, title_crc: int) -> bool:
        """Whether it said that it holds a useful part of a title."""
        index = bisect_left(self.held, title_crc)
        return index < len(self.held) and self.held[index] == title_crc
