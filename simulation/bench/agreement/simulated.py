"""The same sessions by the session simulator over its tcp transport."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from abr.controllers import build_controller
from abr.view import Flags, Floats, Rungs
from nearcast.units import BITS_PER_KBIT, bits_from_bytes
from simulation.bench.agreement.plan import Plan, Session
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import Outcome, Settings, play
from simulation.sessions.tcp import TcpTransport
from simulation.sessions.title import SessionTitle
from simulation.sessions.transport import Flight, Transport


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One session, in the words of a player's report."""

    bitrate_kbps: float
    """Bits of what was played over its duration."""
    stalled_s: float
    startup_s: float
    switch_count: int
    abandon_count: int


class AfterManifest:
    """A transport whose sessions first fetched a manifest, and count time from its end."""

    def __init__(self, transport: Transport, session_count: int, manifest_bytes: int) -> None:
        rows = np.arange(session_count)
        nothing = np.zeros(session_count)
        size_bits = np.full(session_count, float(bits_from_bytes(manifest_bytes)))
        misses = np.zeros(session_count, dtype=np.bool_)
        self._transport = transport
        self.begin_s = transport.send(rows, nothing, nothing, size_bits, misses).end_s.copy()

    def send(
        self, session: Rungs, now_s: Floats, gap_s: Floats, size_bits: Floats, is_hit: Flags
    ) -> Flight:
        begin_s = self.begin_s[session]
        flight = self._transport.send(session, now_s + begin_s, gap_s, size_bits, is_hit)
        return _Shifted(flight, begin_s)


class _Shifted:
    def __init__(self, flight: Flight, begin_s: Floats) -> None:
        self._flight = flight
        self._begin_s = begin_s
        self.first_s: Floats = flight.first_s - begin_s
        self.end_s: Floats = flight.end_s - begin_s

    def received_bits(self, rows: Rungs, at_s: Floats) -> Floats:
        return self._flight.received_bits(rows, at_s + self._begin_s[rows])


def play_simulated(plan: Plan, manifests_bytes: Sequence[int]) -> tuple[Played, ...]:
    """In the order of the plan."""
    groups: dict[tuple[int, float], list[int]] = {}
    for index, session in enumerate(plan.sessions):
        groups.setdefault((id(session.title), session.rtt_s), []).append(index)
    found: dict[int, Played] = {}
    for indexes in groups.values():
        sessions = [plan.sessions[index] for index in indexes]
        played = _play_group(plan, sessions, manifests_bytes[indexes[0]])
        found.update(zip(indexes, played, strict=True))
    return tuple(found[index] for index in range(len(plan.sessions)))


def _play_group(plan: Plan, sessions: Sequence[Session], manifest_bytes: int) -> list[Played]:
    """Sessions of one title and round trip."""
    title, rtt_s, count = sessions[0].title, sessions[0].rtt_s, len(sessions)
    capacity = Capacity([session.trace for session in sessions])
    tcp = TcpTransport(capacity, rtt_s, latency_s=plan.processing_s)
    transport = AfterManifest(tcp, count, manifest_bytes)
    controller = build_controller(plan.choice.name, plan.choice.settings, count)
    settings = Settings(
        buffer_s_max=plan.buffer_s_max, can_abandon=plan.can_abandon, estimate="player"
    )
    outcome = play(title, controller, transport, count, settings)
    return [_played(outcome, title, row, float(transport.begin_s[row])) for row in range(count)]


def _played(outcome: Outcome, title: SessionTitle, row: int, begin_s: float) -> Played:
    rungs = outcome.rungs[row]
    bits = title.sizes_bits[np.arange(title.segment_count), rungs].sum()
    return Played(
        bitrate_kbps=float(bits) / title.duration_s / BITS_PER_KBIT,
        stalled_s=float(outcome.stalled_s[row].sum()),
        startup_s=begin_s + float(outcome.startup_s[row]),
        switch_count=int((np.diff(rungs) != 0).sum()),
        abandon_count=int(outcome.abandoned[row].sum()),
    )
