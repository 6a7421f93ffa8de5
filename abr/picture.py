"""Draws a session: the link and what was expected of it, the rungs taken, and the buffer.

matplotlib comes with the extra `sim` and is imported only here, when a picture is made. Colours are
those of Okabe and Ito, which colour-blind people tell apart too.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abr.timeline import LOW_SHARE, Timeline, buffer_points
from nearcast.errors import InputError
from nearcast.units import BITS_PER_KBIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
GREY, PALE = "#8A8A8A", "#E6E6E6"
WIDTH_INCHES = 11.0
SESSION_HEIGHTS_INCHES = (2.2, 1.9, 1.6)
RUNG_LABELS_MAX = 7
RATE_FLOOR_SHARE = 0.25
"""Of the lowest rung: slower links are drawn at the lower edge."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E9E9E9",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "nearcast",
}


def check_picture(file: Path) -> None:
    """Find out before long work whether `file` could be drawn. Raises InputError."""
    if file.suffix not in SUFFIXES:
        raise InputError(f"cannot draw {file}: its name must end in {', '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise InputError(
            "drawing needs the Python package 'matplotlib'; install it with: "
            "pip install 'nearcast[sim]'"
        )


@contextmanager
def styled() -> Iterator[None]:
    """Figures made within look alike, whatever the user's own settings are."""
    import matplotlib

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it talks of its font cache
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for name, value in STYLE.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]  # it lists all names
        yield


def render(figure: Figure, suffix: str) -> bytes:
    """The file's content; the same figure gives the same bytes."""
    content = io.BytesIO()
    kind = suffix.removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    figure.savefig(content, format=kind, dpi=130, metadata=metadata)
    return content.getvalue()


def draw_timeline(timeline: Timeline, suffix: str) -> bytes:
    """A picture of one session alone."""
    from matplotlib.figure import Figure

    with styled():
        height = sum(SESSION_HEIGHTS_INCHES) + 0.6
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        figure.suptitle(timeline.caption, x=0.01, ha="left", fontsize=10.5)
        axes = figure.subplots(
            3, 1, sharex=True, gridspec_kw={"height_ratios": SESSION_HEIGHTS_INCHES}
        )
        draw_session(list(axes), timeline)
        return render(figure, suffix)


def draw_session(axes: Sequence[Axes], timeline: Timeline) -> None:
    """On three axes that share their time."""
    rates, rungs, buffer = axes
    _draw_rates(rates, timeline)
    _draw_rungs(rungs, timeline)
    _draw_buffer(buffer, timeline)
    for each in axes:
        _shade(each, timeline)
        each.set_xlim(0.0, max(timeline.end_s, 1.0))
    for each in (rates, rungs):
        each.tick_params(labelbottom=False)
    buffer.set_xlabel("seconds since the start of the session")


def legend_above(axes: Axes, column_count: int = 6) -> None:
    """At the height of the title, on the other side."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=column_count,
        borderaxespad=0.1,
        handlelength=1.4,
        columnspacing=1.2,
    )


def _draw_rates(axes: Axes, timeline: Timeline) -> None:
    floor = timeline.ladder_kbps[0] / BITS_PER_KBIT * RATE_FLOOR_SHARE
    marks = timeline.segments
    if timeline.link:
        times_s = [time_s for time_s, _ in timeline.link]
        link = [max(kbps / BITS_PER_KBIT, floor) for _, kbps in timeline.link]
        axes.fill_between(
            times_s, link, floor, step="post", color=PALE, linewidth=0.0, label="link"
        )
    if timeline.forecasts:
        at_s = [each.at_s for each in timeline.forecasts]
        low = [max(each.low_kbps / BITS_PER_KBIT, floor) for each in timeline.forecasts]
        high = [max(each.high_kbps / BITS_PER_KBIT, floor) for each in timeline.forecasts]
        middle = [max(each.median_kbps / BITS_PER_KBIT, floor) for each in timeline.forecasts]
        inner = f"{100 - 200 * LOW_SHARE:.0f} %"
        axes.fill_between(
            at_s,
            low,
            high,
            step="post",
            color=BLUE,
            alpha=0.22,
            linewidth=0.0,
            label=f"forecast, {inner}",
        )
        axes.step(at_s, middle, where="post", color=BLUE, linewidth=1.0, label="forecast, median")
    for is_hit, color, label in ((False, ORANGE, "measured"), (True, GREEN, "measured, edge hit")):
        some = [each for each in marks if each.is_hit == is_hit]
        if some:
            axes.plot(
                [each.here_s for each in some],
                [max(each.kbps / BITS_PER_KBIT, floor) for each in some],
                linestyle="none",
                marker="o",
                markersize=2.8,
                color=color,
                label=label,
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(bottom=floor)
    axes.set_title("Throughput, Mbit/s")
    legend_above(axes)


def _draw_rungs(axes: Axes, timeline: Timeline) -> None:
    marks = timeline.segments
    starts_s = [each.asked_s for each in marks]
    ends_s = [*starts_s[1:], timeline.end_s]
    axes.hlines([each.rung for each in marks], starts_s, ends_s, color=BLUE, linewidth=2.0)
    axes.step(starts_s, [each.rung for each in marks], where="post", color=BLUE, linewidth=0.6)
    again = [each for each in marks if each.abandon_count > 0]
    if again:
        axes.plot(
            [each.asked_s for each in again],
            [each.rung for each in again],
            linestyle="none",
            marker="x",
            markersize=5,
            color=VERMILION,
            label="after a higher one was given up",
        )
        legend_above(axes)
    ladder = timeline.ladder_kbps
    every = -(-len(ladder) // RUNG_LABELS_MAX)
    shown = sorted(set(range(len(ladder) - 1, -1, -every)))
    axes.set_yticks(shown, [f"{ladder[rung] / BITS_PER_KBIT:g}" for rung in shown])
    axes.set_ylim(-0.6, len(ladder) - 0.4)
    axes.set_title("Rung asked for, Mbit/s")


def _draw_buffer(axes: Axes, timeline: Timeline) -> None:
    points = buffer_points(timeline)
    times_s, levels_s = [time_s for time_s, _ in points], [level_s for _, level_s in points]
    axes.fill_between(times_s, levels_s, 0.0, color=GREEN, alpha=0.18, linewidth=0.0)
    axes.plot(times_s, levels_s, color=GREEN, linewidth=0.9)
    axes.axhline(timeline.buffer_s_max, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_ylim(0.0, max([timeline.buffer_s_max, *levels_s]) * 1.1)
    axes.set_title("Buffer, s (dashed: its limit; red: stalled, grey: start-up)")


def _shade(axes: Axes, timeline: Timeline) -> None:
    for start_s, end_s in timeline.stalls:
        axes.axvspan(start_s, end_s, color=VERMILION, alpha=0.28, linewidth=0.0)
    if timeline.startup_s > 0:
        axes.axvspan(0.0, timeline.startup_s, color=GREY, alpha=0.25, linewidth=0.0)
