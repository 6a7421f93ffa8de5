"""`--plot FILE`: a session, and below it all controllers on all families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from abr.picture import (
    SESSION_HEIGHTS_INCHES,
    WIDTH_INCHES,
    draw_session,
    legend_above,
    render,
    styled,
)
from abr.timeline import Timeline
from simulation.sessions.rows import BOUND, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#000000", "#B5A17A")
OURS, OURS_COLOR = "nearcast", "#0072B2"
BOUND_COLOR = "#B8B8B8"
BARS_HEIGHT_INCHES = 1.9
SHARE_MIN = -0.25
"""Lower shares are cut off here, and written down."""


def draw_study(timeline: Timeline, rows: Sequence[Row], suffix: str) -> bytes:
    """The file's content, in the format that `suffix` names."""
    from matplotlib.figure import Figure

    with styled():
        upper = sum(SESSION_HEIGHTS_INCHES) + 0.7
        lower = 3 * BARS_HEIGHT_INCHES + 0.7
        figure = Figure(figsize=(WIDTH_INCHES, upper + lower), layout="constrained")
        grid = figure.add_gridspec(2, 1, height_ratios=(upper, lower))
        above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        above.suptitle(timeline.caption, x=0.01, ha="left", fontsize=10.5)
        axes = above.subplots(
            3, 1, sharex=True, gridspec_kw={"height_ratios": SESSION_HEIGHTS_INCHES}
        )
        draw_session(list(axes), timeline)
        below.suptitle("All controllers", x=0.01, ha="left", fontsize=10.5)
        _draw_rows(list(below.subplots(3, 1, sharex=True)), rows)
        return render(figure, suffix)


def _draw_rows(axes: Sequence[Axes], rows: Sequence[Row]) -> None:
    shares = _shares(rows)
    has_bound = any(row.controller == BOUND for row in rows)
    of = "the family's best"
    if has_bound:
        of = "that of the plan that knows the future (whose stalls cost nothing in either)"
    _bars(axes[0], rows, lambda row: shares[row.family, row.controller])
    axes[0].set_title(f"QoE / {of}")
    low = min((share for share in shares.values() if share is not None), default=0.0)
    axes[0].set_ylim(max(min(low * 1.1, 0.0), SHARE_MIN), 1.08)
    _bars(axes[1], rows, lambda row: row.rebuffer_ratio * 100.0)
    axes[1].set_title("Stalled, % of the time")
    _bars(axes[2], rows, lambda row: row.switches)
    axes[2].set_title("Switches a session")
    legend_above(axes[0], 4)


def _shares(rows: Sequence[Row]) -> dict[tuple[str, str], float | None]:
    """QoE over the bound's, or over the best of the family where there is no bound; None where
    that is not above 0."""
    has_bound = any(row.controller == BOUND for row in rows)
    best: dict[str, float] = {}
    for row in rows:
        best[row.family] = max(best.get(row.family, row.qoe_linear), row.qoe_linear)
    found: dict[tuple[str, str], float | None] = {}
    for row in rows:
        share = row.qoe_linear / best[row.family] if best[row.family] > 0 else None
        found[row.family, row.controller] = row.of_bound_avoidable if has_bound else share
    return found


def _bars(axes: Axes, rows: Sequence[Row], value_of: Callable[[Row], float | None]) -> None:
    families = list(dict.fromkeys(row.family for row in rows))
    controllers = list(dict.fromkeys(row.controller for row in rows))
    width = 0.84 / len(controllers)
    for number, controller in enumerate(controllers):
        shift = (number - (len(controllers) - 1) / 2.0) * width
        mine = [row for row in rows if row.controller == controller]
        values = [value_of(row) for row in mine]
        places = [families.index(row.family) + shift for row in mine]
        axes.bar(
            places,
            [0.0 if value is None else value for value in values],
            width * 0.92,
            color=_color(controller, controllers),
            label=controller,
        )
        for place, value in zip(places, values, strict=True):
            if value is not None and value < SHARE_MIN:
                axes.text(place, SHARE_MIN, f" {value:.1f}", rotation=90, ha="center", va="bottom")
    for index, family in enumerate(families):
        if all(value_of(row) is None for row in rows if row.family == family):
            axes.text(index, 0.03, "below 0", ha="center", color="#666666")
    axes.set_xticks(range(len(families)), families)
    axes.set_xlim(-0.55, len(families) - 0.45)
    axes.axhline(0.0, color="#666666", linewidth=0.7)
    axes.tick_params(axis="x", length=0)


def _color(controller: str, controllers: Sequence[str]) -> str:
    if controller == BOUND:
        return BOUND_COLOR
    if controller == OURS:
        return OURS_COLOR
    others = [each for each in controllers if each not in (BOUND, OURS)]
    return COLORS[others.index(controller) % len(COLORS)]
