"""`--plot FILE`: byte hit ratios by day and by edge; needs matplotlib."""

from __future__ import annotations

from pathlib import Path

from nearcast.errors import ConfigError
from simulation.placement.study import PlacementStudy


def draw(study: PlacementStudy, file: Path) -> None:
    """Draw what `check_plot` has found possible, in the format that the file's name ends in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    by_day, by_edge = figure.subplots(1, 2, sharey=True)
    for row in study.rows:
        days = range(study.warmup_days, study.warmup_days + len(row.day_hit_ratios))
        by_day.plot(list(days), row.day_hit_ratios, "o-", markersize=3, label=row.planner)
        by_edge.plot(range(study.edges), row.edge_hit_ratios, "o", label=row.planner)
    by_day.set_xlabel("day")
    by_edge.set_xlabel("edge")
    by_day.set_ylabel("byte hit ratio")
    by_edge.legend(fontsize="small")
    for axes in (by_day, by_edge):
        axes.set_ylim(0.0, 1.0)
        axes.grid(visible=True, alpha=0.3)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--plot {file}: {error}") from error
