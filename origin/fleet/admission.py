"""Which heartbeats and observations are believed, and why the others are not.

A heartbeat must come from the edge that the certificate names, from its present process (a boot id
that was superseded does not come back), later than the one before, and with the time about right.
Two processes under one identity take turns: the one that came later is heard, and the other is
refused as a duplicate each time, so it says so where it runs. An edge whose clock is wrong lives,
and its figures are not taken.
"""

from __future__ import annotations

from typing import Final

from nearcast.fleet import CLOCK_SKEW_S_MAX, Heartbeat, Observations, Refusal, Refused
from nearcast.held_digest import TITLES_MAX, WORD_BYTES
from origin.fleet.watched_edge import WatchedEdge

SILENT_INTERVALS: Final = 3.0
"""After which a process that reported is taken to have ended."""


def identity_refused(
    named: str, certificate_edge: str, watched: WatchedEdge | None
) -> Refused | None:
    """Whether the sender may speak for `named` at all."""
    if named != certificate_edge:
        return _refused(
            "forged",
            f"the message is of edge {named!r} and the certificate of {certificate_edge!r}: "
            "an edge speaks for itself alone",
        )
    if watched is None:
        return _refused(
            "unknown_edge",
            f"no edge {named!r} is enrolled here: enrol it with `nearcast edge enrol TOKEN`",
        )
    if watched.record.revoked:
        return _refused("revoked", f"edge {named!r} was revoked: enrol it again with a new token")
    return None


def heartbeat_refused(
    heartbeat: Heartbeat,
    watched: WatchedEdge,
    received_wall_s: float,
    silent_intervals: float | None,
) -> Refused | None:
    """`silent_intervals`: how many intervals of its heartbeats ago the edge was heard last."""
    offset_s = heartbeat.sent_wall_s - received_wall_s
    if abs(offset_s) > CLOCK_SKEW_S_MAX:
        return _refused(
            "clock",
            f"its clock is {abs(offset_s):.0f} s {'ahead' if offset_s > 0 else 'behind'} of the "
            f"origin's, at most {CLOCK_SKEW_S_MAX:.0f} s are taken: set the edge's clock",
        )
    last = watched.heartbeat
    if heartbeat.boot_id in watched.past_boots:
        if silent_intervals is not None and silent_intervals < SILENT_INTERVALS:
            return _refused(
                "duplicate",
                f"another process reports as edge {heartbeat.edge!r}: stop one of the two, or "
                "enrol one under another name",
            )
        return _refused(
            "replayed",
            f"boot {heartbeat.boot_id} of edge {heartbeat.edge!r} was followed by another: "
            "start the edge again",
        )
    if last is not None and heartbeat.boot_id == last.boot_id:
        newest_no = last.sequence_no
        if heartbeat.sequence_no <= newest_no:
            return _refused(
                "replayed",
                f"heartbeat {heartbeat.sequence_no} after {newest_no}: numbers count up, also when "
                "one is sent again",
            )
    if heartbeat.held is not None:
        return _held_refused(heartbeat.held)
    return None


def _held_refused(held: bytes) -> Refused | None:
    if len(held) % WORD_BYTES:
        return _refused("bad_request", "`held` is no list of 32-bit words")
    if len(held) > TITLES_MAX * WORD_BYTES:
        return _refused("too_large", f"`held` names more than {TITLES_MAX} titles")
    return None


def observations_refused(said: Observations, watched: WatchedEdge) -> Refused | None:
    """They have a numbering of their own."""
    if said.boot_id in watched.past_boots:
        return _refused("duplicate", f"boot {said.boot_id} was followed by another: start it again")
    if said.boot_id == watched.observed_boot_id and said.sequence_no <= watched.observed_no:
        return _refused(
            "replayed", f"observations {said.sequence_no} after {watched.observed_no}: count up"
        )
    return None


def count_refusal(counts: dict[Refusal, int], refused: Refused) -> None:
    counts[refused.error] = counts.get(refused.error, 0) + 1


def _refused(error: Refusal, detail: str) -> Refused:
    return Refused(error=error, detail=detail)
