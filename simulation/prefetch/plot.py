"""`--plot FILE`: hit ratio against waste at each gate, beside the rule; needs matplotlib."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nearcast.errors import ConfigError, InputError
from nearcast.json_file import check_json_file

if TYPE_CHECKING:
    from simulation.prefetch.study import Study

_ENDINGS: Final = (".pdf", ".png", ".svg")


def check_plot(file: Path | None) -> None:
    """Find out before long work, not after it. Raises ConfigError or InputError."""
    if file is None:
        return
    check_json_file(file)
    if file.suffix.lower() not in _ENDINGS:
        raise InputError(f"--plot {file}: the name must end in one of {', '.join(_ENDINGS)}")
    if find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib: pip install 'nearcast[sim]'")


def plot(study: Study, file: Path) -> None:
    """Draw what `check_plot` has found possible, in the format that the file's name ends in."""
    from matplotlib.figure import Figure

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
