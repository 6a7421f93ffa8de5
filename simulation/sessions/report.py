"""The rows for a person: a table a family, within 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from simulation.sessions.rows import ALL, BOUND, Row

NAME_WIDTH = 13
DIFFERENCE_WIDTH = 19
"""What the other columns leave of 80."""
ABSENT = "-"


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A family after the other, each controller against the best of the others."""
    for family, group in groupby(rows, key=lambda row: row.family):
        yield from _table(family, list(group))
        yield ""
    played = [row for row in rows if row.family != ALL and row.wall_s > 0]
    count, wall_s = sum(row.sessions for row in played), sum(row.wall_s for row in played)
    if any(row.against is not None for row in rows):
        spread = any(row.difference_low is not None for row in rows)
        intervals = ", with 95 % intervals" if spread else ""
        yield f"difference: QoE against the best other controller in pairs{intervals}"
    if any(row.controller == BOUND for row in rows):
        yield "/bound: QoE / that of the plan which knows the future"
    speed = f" ({count / wall_s:.0f}/s)" if wall_s > 0 else ""
    yield f"{count} sessions in {wall_s:.1f} s{speed}"


def _table(family: str, rows: Sequence[Row]) -> Iterator[str]:
    first = rows[0]
    of = "the mean of the families" if family == ALL else f"{first.sessions} sessions"
    yield f"{family}: {of}"
    yield (
        f"{'':<{NAME_WIDTH}}{'QoE':>8}{'/bound':>7}{'kbit/s':>8}{'stall %':>8}"
        f"{'start s':>8}{'switch':>7}  difference"
    )
    for row in rows:
        name = row.controller
        if len(name) >= NAME_WIDTH:
            yield name
            name = ""
        yield (
            f"{name:<{NAME_WIDTH}}{_cut(_short(row.qoe_linear), 8)}"
            f"{_cut(ABSENT if row.of_bound is None else _narrow(row.of_bound), 7)}"
            f"{_cut(f'{row.bitrate_kbps:.0f}', 8)}{row.rebuffer_ratio * 100:>8.2f}"
            f"{_cut(f'{row.startup_p50_s:.2f}', 8)}{_cut(f'{row.switches:.1f}', 7)}"
            f"  {_difference(row)}"
        ).rstrip()


def _difference(row: Row) -> str:
    if row.difference is None:
        return ""
    text = _signed(row.difference)
    if row.difference_low is None or row.difference_high is None:
        return text
    whole = f"{text} {_signed(row.difference_low)}..{_signed(row.difference_high)}"
    return whole if len(whole) <= DIFFERENCE_WIDTH else text


def _cut(text: str, width: int) -> str:
    """Within its column and apart from the one before: a number too long for it by its order."""
    if len(text) >= width:
        text = _order(float(text))
    return f"{text:>{width}}"


def _order(value: float, sign: str = "") -> str:
    """`-2e300`: as short as numbers get."""
    mantissa, _, power = f"{value:{sign}.0e}".partition("e")
    return f"{mantissa}e{int(power)}"


def _narrow(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _signed(value: float) -> str:
    if abs(value) >= 1e4:
        return _order(value, "+")
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:+.{digits}f}"


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
