"""Hit ratio against waste at each gate, beside the rule; needs matplotlib."""

from __future__ import annotations

from pathlib import Path

from nearcast.errors import ConfigError
from simulation.prefetch.study import Study


def plot(study: Study, file: Path) -> None:
    """Writes a PNG or SVG, by the file's suffix. Raises ConfigError where it cannot."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install 'nearcast[sim]'") from error
    shown = [same for same in study.same_hits if same.unit == "objects"] or list(study.same_hits)
    figure = Figure(figsize=(4.0 * len(shown), 3.4), layout="constrained")
    for axes, same in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        axes.plot([waste for _, waste in same.curve], [hits for hits, _ in same.curve], "o-")
        axes.plot([same.rule[1]], [same.rule[0]], "s", color="tab:red")
        axes.annotate(
            "rule", (same.rule[1], same.rule[0]), xytext=(4, 4), textcoords="offset points"
        )
        axes.set_title(f"{same.capacity:.0%} of the {same.unit}")
        axes.set_xlabel("wasted per request")
        axes.set_ylabel("hit ratio")
        axes.grid(visible=True, alpha=0.3)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--plot {file}: {error}") from error
