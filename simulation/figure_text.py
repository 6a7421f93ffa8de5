"""How figures look to a person: one name and one unit each, the same in every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nearcast.units import format_size

LABEL_WIDTH = 31
ABSENT = "-"
GIVEN = "*"
GIVEN_NOTE = f"{GIVEN} given to the simulator, not measured by it"


def _seconds(value: float) -> str:
    return f"{value:.3f} s"


def _milliseconds(value: float) -> str:
    return f"{value * 1e3:.2f} ms"


def _share(value: float) -> str:
    return f"{value * 100:.1f} %"


def _rate(value: float) -> str:
    return f"{value:.0f} kbit/s"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _plain(value: float) -> str:
    return f"{value:.3f}"


TEXTS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "sessions": ("titles played", _count),
    "sessions_failed": ("of these, failed", _count),
    "startup_p50_s": ("every title, start-up p50", _seconds),
    "startup_p95_s": ("every title, start-up p95", _seconds),
    "next_episode_startup_p50_s": ("next episode, start-up p50", _seconds),
    "next_episode_startup_p95_s": ("next episode, start-up p95", _seconds),
    "next_episode_hit_ratio": ("next-episode starts from edge", _share),
    "byte_hit_ratio": ("bytes served from the edge", _share),
    "rebuffer_ratio": ("rebuffer ratio", _share),
    "stall_count": ("stalls", _count),
    "bitrate_kbps_mean": ("mean bitrate", _rate),
    "switch_count": ("changes of rung", _count),
    "qoe_linear_mean": ("QoE (linear, per segment)", _plain),
    "client_bytes": ("bytes to viewers", format_size),
    "origin_bytes": ("bytes from the origin", format_size),
    "prefetch_bytes": ("of these, prefetched", format_size),
    "prefetch_waste_bytes": ("prefetched in vain", format_size),
    "prefetch_precision": ("prefetch precision", _share),
    "inference_p50_s": ("inference p50", _milliseconds),
    "inference_p99_s": ("inference p99", _milliseconds),
}
"""Of the fields of `simulation.report.Figures` that are shown."""


def cell(key: str, value: float | None) -> str:
    """`-` where there was nothing to measure."""
    return ABSENT if value is None else TEXTS[key][1](value)


def simulated_cell(key: str, value: float | None) -> str:
    """Inference takes no real time in a simulation: `*` marks what it was told."""
    text = cell(key, value)
    return text + GIVEN if key.startswith("inference") and value is not None else text


def row(key: str, cells: Sequence[str], cell_width: int) -> str:
    label, _ = TEXTS[key]
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{one:>{cell_width}}" for one in cells)
