"""The demo's figures side by side, live and simulated, at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nearcast.units import format_size

Figures = Mapping[str, float | None]
GIVEN = "*"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _milliseconds(value: float) -> str:
    return f"{value * 1e3:.2f} ms"


def _share(value: float) -> str:
    return f"{value * 100:.1f} %"


def _rate(value: float) -> str:
    return f"{value:.0f} kbit/s"


def _count(value: float) -> str:
    return f"{value:.0f}"


ROWS = (
    ("next_episode_startup_p50_s", "next episode, start-up p50", _seconds),
    ("next_episode_startup_p95_s", "next episode, start-up p95", _seconds),
    ("next_episode_hit_ratio", "next-episode starts from edge", _share),
    ("startup_p50_s", "every title, start-up p50", _seconds),
    ("byte_hit_ratio", "bytes served from the edge", _share),
    ("rebuffer_ratio", "rebuffer ratio", _share),
    ("bitrate_kbps_mean", "mean bitrate", _rate),
    ("origin_bytes", "bytes from the origin", format_size),
    ("prefetch_bytes", "of these, prefetched", format_size),
    ("prefetch_precision", "prefetch precision", _share),
    ("inference_p50_s", "inference p50", _milliseconds),
    ("inference_p99_s", "inference p99", _milliseconds),
    ("sessions", "titles played", _count),
)


def lines(live: Mapping[str, Figures], simulated: Mapping[str, Figures]) -> Iterator[str]:
    """A heading and one line per figure; `-` where a side has nothing to measure."""
    yield f"{'':<31}{'measured':^24}{'simulated':^24}".rstrip()
    yield f"{'prefetch':<31}" + f"{'off':>12}{'on':>12}" * 2
    for key, label, show in ROWS:
        cells = [
            _cell(side.get(key), show)
            for side in (live["off"], live["on"], simulated["off"], simulated["on"])
        ]
        mark = GIVEN if key.startswith("inference") else ""
        cells[2:] = [cell if cell == "-" else cell + mark for cell in cells[2:]]
        yield f"{label:<31}" + "".join(f"{cell:>12}" for cell in cells)
    yield f"{GIVEN} given to the simulator, not measured by it"


def _cell(value: float | None, show: object) -> str:
    assert callable(show)
    return "-" if value is None else str(show(value))


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


def _claim(label: str, figures: Figures, key: str, least: float) -> str:
    value = figures.get(key)
    if value is None:
        return f"SHORT {label}: nothing to measure"
    return f"{'ok   ' if value >= least else 'SHORT'} {label}: {value * 100:.1f} %"


def _agreement(live: Mapping[str, Figures], simulated: Mapping[str, Figures]) -> Iterator[str]:
    for side in ("off", "on"):
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
