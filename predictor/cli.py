"""`nearcast train` and `nearcast models`: one command for each kind of model."""

from __future__ import annotations

import typer

from predictor.commands.bandwidth import train_bandwidth
from predictor.commands.demand import train_demand
from predictor.commands.models import models_app
from predictor.commands.next_episode import train_next_episode
from predictor.commands.recommend import train_recommend

__all__ = ["models_app", "train_app"]

train_app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train, quantise and measure a model.\n\n"
    "Example: nearcast train next-episode --data viewing_stats.json --out model/",
)


@train_app.callback()
def _train() -> None:
    """Train, quantise and measure a model.

    Example: nearcast train next-episode --data viewing_stats.json --out model/
    """


# Short enough for a line of the list each.
for name, train, short in (
    ("next-episode", train_next_episode, "Whether a viewer goes on to the next episode."),
    ("recommend", train_recommend, "Which title a viewer takes up next."),
    ("demand", train_demand, "What each title will be watched, by region."),
    ("bandwidth", train_bandwidth, "How fast the network will be."),
):
    train_app.command(name, short_help=short)(train)
