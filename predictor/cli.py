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


train_app.command("next-episode")(train_next_episode)
train_app.command("bandwidth")(train_bandwidth)
train_app.command("demand")(train_demand)
train_app.command("recommend")(train_recommend)
