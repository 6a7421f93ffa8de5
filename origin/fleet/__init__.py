"""The edges of an origin: who they are, how they are, and what they are told.

machine        Fleet: heartbeats and observations in, answers and states out
admission      which messages are believed, and why the others are refused
health         the theory: which evidence makes an edge suspect or dead
evidence       what the witnesses of an edge say, counted
judging        from state to state, as evidence comes
probing        the origin's own looks at edges
observers      which edges look at which
contacts       whom this origin heard: whether it is itself cut off
watched_edge   all that is known of one edge
rows           how an edge is shown to people
events         what goes in and out
"""

from origin.fleet.events import (
    ConnectionLost,
    EdgeChanged,
    EdgeRemoved,
    EdgeStateChanged,
    Effect,
    Event,
    FleetEdge,
    HeartbeatRead,
    OriginsKnown,
    PlanInForce,
    PlayerErrors,
    ProbeAnswered,
    ProbeEdge,
    ProbeOutcome,
    State,
    StateRead,
)
from origin.fleet.machine import Fleet
from origin.fleet.watched_edge import WatchedEdge

__all__ = [
    "ConnectionLost",
    "EdgeChanged",
    "EdgeRemoved",
    "EdgeStateChanged",
    "Effect",
    "Event",
    "Fleet",
    "FleetEdge",
    "HeartbeatRead",
    "OriginsKnown",
    "PlanInForce",
    "PlayerErrors",
    "ProbeAnswered",
    "ProbeEdge",
    "ProbeOutcome",
    "State",
    "StateRead",
    "WatchedEdge",
]
