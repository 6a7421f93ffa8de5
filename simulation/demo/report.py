"""The demo's figures side by side, live and simulated, at 80 columns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from abr.report import ViewerReport
from simulation.demo.plan import SIDES
from simulation.figure_text import GIVEN_NOTE, LABEL_WIDTH, cell, row, simulated_cell

Figures = Mapping[str, float | None]

CELL_WIDTH = 12
SLOWEST_COUNT = 3
"""About what lies beyond the p95 of the demo's starts, and its neighbours."""
KEYS = (
    "next_episode_startup_p50_s",
    "next_episode_startup_p95_s",
    "next_episode_hit_ratio",
    "startup_p50_s",
    "byte_hit_ratio",
    "rebuffer_ratio",
    "bitrate_kbps_mean",
    "origin_bytes",
    "prefetch_bytes",
    "prefetch_precision",
    "inference_p50_s",
    "inference_p99_s",
    "sessions",
)


def lines(live: Mapping[str, Figures], simulated: Mapping[str, Figures]) -> Iterator[str]:
    """A heading and one line per figure; `-` where a side has nothing to measure."""
    yield f"{'':<{LABEL_WIDTH}}{'measured':^24}{'simulated':^24}".rstrip()
    yield f"{'prefetch':<{LABEL_WIDTH}}" + f"{'off':>12}{'on':>12}" * 2
    for key in KEYS:
        measured = [cell(key, live[side].get(key)) for side in SIDES]
        twins = [simulated_cell(key, simulated[side].get(key)) for side in SIDES]
        yield row(key, [*measured, *twins], CELL_WIDTH)
    yield GIVEN_NOTE


def verdicts(live: Mapping[str, Figures], simulated: Mapping[str, Figures]) -> Sequence[str]:
    """What the demo set out to show, each with the figures that decide it. Short ones say SHORT."""
    off, on = live["off"], live["on"]
    claims = [
        _claim("next-episode starts from the edge >= 90 %", on, "next_episode_hit_ratio", 0.9),
        _claim("prefetch precision >= 80 %", on, "prefetch_precision", 0.8),
    ]
    for label, factor, key in (
        ("start-up p95 of next episodes at most half", 0.5, "next_episode_startup_p95_s"),
        ("rebuffer ratio not higher", 1.0, "rebuffer_ratio"),
    ):
        one, two = off.get(key), on.get(key)
        if one is None or two is None:
            claims.append(f"SHORT {label}: nothing to measure")
        else:
            word = "ok   " if two <= one * factor + 1e-9 else "SHORT"
            claims.append(f"{word} {label}: {two:.3f} against {one:.3f}")
    claims += _agreement(live, simulated)
    return claims


def reason(off: Sequence[ViewerReport], on: Sequence[ViewerReport]) -> Iterator[str]:
    """What makes the p95 of each side: the same starts of the same viewers, side by side."""
    pairs = [
        (one, two)
        for viewer_off, viewer_on in zip(off, on, strict=True)
        for one, two in zip(viewer_off.sessions, viewer_on.sessions, strict=False)
        if one.is_next_episode and one.startup_s is not None and two.startup_s is not None
    ]
    crossed = [(one, two) for one, two in pairs if not one.started_from_edge]
    if not crossed:
        return
    before_s, after_s = (
        statistics.median(session.startup_s or 0.0 for session in side)
        for side in zip(*crossed, strict=True)
    )
    count = f"{len(crossed)} of {len(pairs)}"
    yield f"{count} next-episode starts crossed the backhaul without prefetch:"
    yield f"  median {before_s:.3f} s, and {after_s:.3f} s for the same starts with it"
    slowest = sorted(pairs, key=lambda pair: pair[1].startup_s or 0.0)[-SLOWEST_COUNT:]
    if all(one.started_from_edge and two.started_from_edge for one, two in slowest):
        yield f"the {len(slowest)} slowest starts with prefetch were edge hits on both sides:"
        yield "  that p95 is their own last mile, which an edge cannot shorten"


def _claim(label: str, figures: Figures, key: str, least: float) -> str:
    value = figures.get(key)
    if value is None:
        return f"SHORT {label}: nothing to measure"
    return f"{'ok   ' if value >= least else 'SHORT'} {label}: {value * 100:.1f} %"


def _agreement(live: Mapping[str, Figures], simulated: Mapping[str, Figures]) -> Iterator[str]:
    for side in SIDES:
        for key, within, relative in (
            ("next_episode_hit_ratio", 0.05, False),
            ("byte_hit_ratio", 0.05, False),
            ("next_episode_startup_p50_s", 0.2, True),
            ("origin_bytes", 0.2, True),
        ):
            one, two = live[side].get(key), simulated[side].get(key)
            if one is None or two is None:
                yield f"SHORT simulated {key} ({side}): nothing to measure"
                continue
            gap = abs(two - one) / one if relative and one else abs(two - one)
            word = "ok   " if gap <= within else "SHORT"
            kind = f"{gap * 100:.1f} %" if relative else f"{gap:.3f} absolute"
            yield f"{word} simulated {key} ({side}) within {within}: {kind}"
