"""How a request becomes bytes: what the session simulator asks of a transport model."""

from __future__ import annotations

from typing import Protocol

from abr.view import Flags, Floats, Rungs


class Flight(Protocol):
    """Requests under way, one a row, as if none were ever given up. All times are absolute."""

    first_s: Floats
    """(n,): the first byte is here."""
    end_s: Floats
    """(n,): the last one is."""

    def received_bits(self, rows: Rungs, at_s: Floats) -> Floats:
        """Of the flight's `rows` (indices into it), at `at_s` between first and last byte."""


class Transport(Protocol):
    """A model of the network between player and edge."""

    def send(
        self, session: Rungs, now_s: Floats, gap_s: Floats, size_bits: Floats, is_hit: Flags
    ) -> Flight:
        """Ask for `size_bits` in each of the sessions (n,), after `gap_s` of silence. `is_hit`: the
        edge has it in its store. A session's requests are sent in the order of time."""
