"""Plays drawn from a population of viewers, as a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from nearcast.seeds import Seeds
from nearcast.units import DAY_S, HOUR_S
from predictor.logs.plays import PlaysLog
from predictor.viewing.behaviour import Behaviour
from predictor.viewing.course import Floats, Ints
from predictor.viewing.shelf import Shelf
from predictor.viewing.viewers import Crowd, Viewers

_BEFORE_S = 14 * DAY_S  # drawn and thrown away: by then viewers have series open
_KEEP_EVERY = 16  # steps after which those who are done are dropped


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Where viewers are."""

    name: str
    share: float = 1.0  # of the viewers, relative to other regions
    utc_offset_h: float = 0.0


def draw_log(
    behaviour: Behaviour,
    shelf: Shelf,
    *,
    viewers: int,
    days: float,
    seeds: Seeds,
    regions: tuple[Region, ...] = (Region(name="home"),),
    crowds: Sequence[Crowd] = (),
    stream: str = "viewing",
) -> PlaysLog:
    """All plays that start within `days` from 0, which is a midnight UTC."""
    rng = seeds.stream(stream)
    shares = np.array([region.share for region in regions])
    region = rng.choice(len(regions), viewers, p=shares / shares.sum())
    first_s = rng.uniform(-_BEFORE_S, -_BEFORE_S + 2 * DAY_S, viewers)
    offset_s = HOUR_S * np.array([region.utc_offset_h for region in regions])
    moving = Viewers(behaviour, shelf, region, first_s, rng, crowds, offset_s[region])
    end_s = days * DAY_S
    steps: list[dict[str, Any]] = []
    step_no = 0
    while len(moving.viewer):
        step = moving.step()
        utc_s = step["start_s"] - offset_s[region[step["viewer"]]]
        step["start_s"] = utc_s
        seen = (utc_s >= 0.0) & (utc_s < end_s)
        steps.append({name: column[seen] for name, column in step.items()})
        step_no += 1
        if step_no % _KEEP_EVERY == 0:
            going = moving.start_s - offset_s[region[moving.viewer]] < end_s
            if not going.all():
                moving.keep(going)
    columns = {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
    return _log(columns, shelf, region, regions)


def _log(
    columns: dict[str, Any], shelf: Shelf, region: Ints, regions: tuple[Region, ...]
) -> PlaysLog:
    order = np.lexsort((columns["viewer"], columns["start_s"]))
    columns = {name: column[order] for name, column in columns.items()}
    series, film = columns["series"], columns["film"]
    is_film = series < 0
    first = np.concatenate([[0], np.cumsum(shelf.episode_count)])
    title = np.where(is_film, first[-1] + film, first[series] + columns["episode"])
    used, codes = np.unique(title, return_inverse=True)
    season_length = shelf.season_length[series]
    season = np.where(is_film, 0, columns["episode"] // season_length + 1)
    episode = np.where(is_film, 0, columns["episode"] % season_length + 1)
    shows, show_codes = np.unique(series, return_inverse=True)
    has_films = len(shows) > 0 and shows[0] < 0
    names = _title_names(used, first, shelf)
    viewer_count = len(region)
    where = region[columns["viewer"]]
    return PlaysLog(
        viewer=columns["viewer"],
        start_s=columns["start_s"],
        watched_s=columns["watched_s"],
        runtime_s=columns["runtime_s"],
        title=codes,
        series=show_codes - has_films,
        season=season,
        episode=episode,
        device=columns["device"],
        region=where,
        release_s=_known(shelf, "release_s", series, film),
        genre=_known(shelf, "genre", series, film).astype(np.int64),
        utc_offset_h=np.array([region.utc_offset_h for region in regions])[where],
        viewers=tuple(f"v{viewer:0{_digits(viewer_count)}d}" for viewer in range(viewer_count)),
        titles=names,
        series_names=tuple(f"s{show:05d}" for show in shows[shows >= 0].tolist()),
        regions=tuple(region.name for region in regions),
        genres=tuple(getattr(shelf, "genres", ())),
    )


def _title_names(used: Ints, first: Ints, shelf: Shelf) -> tuple[str, ...]:
    show = np.searchsorted(first, used, side="right") - 1
    names = []
    for title, series in zip(used.tolist(), show.tolist(), strict=True):
        if title >= first[-1]:
            names.append(f"f{title - first[-1]:05d}")
        else:
            season, episode = divmod(title - first[series], shelf.season_length[series])
            names.append(f"s{series:05d}-s{season + 1:02d}e{episode + 1:02d}")
    return tuple(names)


def _known(shelf: Shelf, name: str, series: Ints, film: Ints) -> Floats:
    """A column of the shelf's own, which only a catalogue has; else unknown."""
    of_series = getattr(shelf, f"series_{name}", None)
    of_films = getattr(shelf, f"film_{name}", None)
    if of_series is None or of_films is None:
        return np.full(len(series), -1.0 if name == "genre" else math.nan)
    return np.asarray(np.where(series < 0, of_films[film], of_series[series]))


def _digits(count: int) -> int:
    return max(4, len(str(count - 1)))
