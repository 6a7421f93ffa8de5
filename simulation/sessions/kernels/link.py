"""A repeating bandwidth trace of one session; see simulation/sessions/capacity.py.

Time only goes forward in a session, so a search begins at the span where the last one ended.
"""

from __future__ import annotations

import math

from simulation.sessions.capacity import Links
from simulation.sessions.kernels.jit import jit


@jit
def position_bits(links: Links, row: int, time_s: float, span: int) -> tuple[float, int]:
    """Carried from time 0 to `time_s`, and the span that lies in."""
    turns = math.floor(time_s / links.period_s[row])
    at_s = time_s - turns * links.period_s[row] + links.time_offset_s[row]
    if links.times_s[span] > at_s:
        span = links.first[row]
    while span < links.last[row] and links.times_s[span + 1] <= at_s:
        span += 1
    inside = (at_s - links.times_s[span]) * links.rates_bps[span]
    whole_turns_bits = turns * links.total_bits[row]
    return links.bits[span] - links.bit_offset[row] + inside + whole_turns_bits, span


@jit
def reaches_s(links: Links, row: int, target: float, span: int) -> float:
    """When `target` bits (> 0) have been carried since time 0."""
    total = links.total_bits[row]
    turns = math.ceil(target / total) - 1.0
    rest = min(target - turns * total, total) + links.bit_offset[row]
    if links.bits[span] >= rest:
        span = links.first[row]
    while span < links.last[row] and links.bits[span + 1] < rest:
        span += 1
    rate_bps = links.rates_bps[span]
    inside_s = max(rest - links.bits[span], 0.0) / rate_bps if rate_bps > 0 else 0.0
    at_s = links.times_s[span] - links.time_offset_s[row] + inside_s
    reached_s: float = turns * links.period_s[row] + at_s
    return reached_s
