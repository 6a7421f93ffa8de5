"""From what edges reported to what a plan is made from.

The forecast counts viewings of titles and how they spread over renditions; a viewing also takes
sound, of which it is reported which rendition. So pictures are forecast, by their place in the
ladder, and a rendition of sound is worth the viewings of its title times its share of the sound.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from nearcast.fleet import Duty, EdgeProfile, Storage
from nearcast.local_time import LocalTime
from nearcast.placement import EdgePlan
from nearcast.telemetry import HEAD_S
from nearcast.units import DAY_S, HOUR_S
from origin.catalog import Title
from origin.control.held import Followed, Word, by_its_word, reckon, word_of
from origin.control.ladder import Ladder, titles_of
from origin.control.told import Told, ToldHours
from origin.control.watching import watched_parts
from origin.fleet.events import FleetEdge
from origin.placement.demand import Floats, Titles
from origin.placement.files import Files, files_of_titles
from origin.placement.forecast import Forecast, file_values
from origin.placement.inputs import EdgeInput, PlanInputs
from origin.placement.kept_forecast import History, KeptForecast
from origin.placement.settings import PlanSettings

DAY_HOURS: Final = 24
DOWN_S: Final = 900.0
"""An edge that is dead for longer does not come back in a moment: others take its place."""


class PlannedEdge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of the fleet, as a plan needs it."""

    edge: str
    profile: EdgeProfile
    clock: LocalTime | None = None
    """Of its viewers; None: the offset in its profile holds."""
    duty: Duty
    is_up: bool
    storage: Storage | None
    plan: EdgePlan | None = None
    """By which it works."""
    plan_files_held: int = 0
    word: Word | None = None
    """None: it has not run for long, or has not followed that plan for long."""
    past_filled_bytes: float = 0.0
    """What it fetched for plans within the days that are looked at."""
    enrolled_wall_s: float = 0.0


def planned_edge(
    row: FleetEdge,
    *,
    clock: LocalTime,
    followed: Followed | None,
    held_titles: array[int] | None,
    fetched_bytes: int,
    enrolled_wall_s: float,
    wall_s: float,
) -> PlannedEdge:
    """`held_titles`: as in `Word`; `fetched_bytes`: see `PlannedEdge.past_filled_bytes`."""
    return PlannedEdge(
        edge=row.edge,
        profile=row.profile,
        clock=clock,
        duty=row.duty,
        is_up=row.state != "dead" or row.state_age_s < DOWN_S,
        storage=row.storage,
        plan=followed.plan if followed is not None else None,
        plan_files_held=row.plan_files_held,
        word=word_of(followed, row.storage, held_titles, uptime_s=row.uptime_s, wall_s=wall_s),
        past_filled_bytes=float(fetched_bytes),
        enrolled_wall_s=enrolled_wall_s,
    )


def history_from_wall_s(wall_s: float, history_days: int) -> float:
    """From when on reports count: a midnight (UTC), so that for a day plans begin at the same hour
    and can go on from each other."""
    return (wall_s // DAY_S - history_days) * DAY_S


def plan_inputs(
    titles: Sequence[Title],
    told: Told,
    edges: Sequence[PlannedEdge],
    *,
    wall_s: float,
    history_days: int,
    settings: PlanSettings,
    kept_forecast: KeptForecast | None = None,
) -> PlanInputs:
    """`told` reaches back to `history_from_wall_s`. `kept_forecast`: of the plans before."""
    titles = sorted(titles, key=lambda title: title.id)
    files = files_of_titles(titles, HEAD_S)
    ladder = Ladder(titles)
    now_hour = int(wall_s // HOUR_S)
    first_hour = int(history_from_wall_s(wall_s, history_days)) // HOUR_S
    if len(told.demand.hour_wall_s):
        # Hours before anybody reported are no hours in which nothing was wanted.
        first_hour = max(first_hour, int(told.demand.hour_wall_s[0]) // HOUR_S)
    known = titles_of(titles, ladder, first_hour)
    names = [edge.edge for edge in edges]
    link_kbps = np.array([edge.profile.link_kbps for edge in edges])
    hours = ToldHours(ladder, files, told, names, link_kbps)
    enrolled_hour = np.array([edge.enrolled_wall_s for edge in edges]) / HOUR_S
    forecast = (kept_forecast or KeptForecast()).forecast(
        History(
            titles=known,
            first_hour=first_hour,
            # The hour that is not over would pass for a quiet one; but of today's fleet it may be
            # all.
            end_hour=now_hour + (now_hour - first_hour < DAY_HOURS),
            known_since=np.minimum(enrolled_hour, hours.first_report()),
            demand=hours.demand,
            watched=watched_parts(known, ladder.row, told.watched),
        )
    )
    values = _Values(files, ladder, known, forecast, hours)
    days = settings.valid_s / DAY_S
    return PlanInputs(
        files=files,
        edges=tuple(
            _edge_input(edge, index, files, values, hours, days) for index, edge in enumerate(edges)
        ),
        wall_s=wall_s,
        settings=settings,
    )


def _edge_input(
    edge: PlannedEdge,
    index: int,
    files: Files,
    values: _Values,
    hours: ToldHours,
    days: float,
) -> EdgeInput:
    whole, head = values.of(index)
    reckoned = reckon(
        files,
        edge.plan,
        edge.plan_files_held,
        hours.pulled_bytes(index, edge.plan.made_wall_s if edge.plan else 0.0),
        edge.storage,
    )
    held = reckoned.held if edge.word is None else by_its_word(files, reckoned, edge.word)
    return EdgeInput(
        edge=edge.edge,
        profile=edge.profile,
        clock=edge.clock,
        duty=edge.duty,
        is_up=edge.is_up,
        storage=edge.storage,
        value_bytes=whole * days,
        head_value_bytes=head * days,
        held_bytes=held,
        missing_bytes=reckoned.held - held,
        # All that is expected to be taken would be saved if all were held.
        served_bytes=float(whole.sum() * days),
        past_served_bytes=float(hours.served_bytes[index]),
        past_filled_bytes=edge.past_filled_bytes,
        guess_share=values.guess_share(index),
    )


class _Values:
    """What holding each file saves an edge in a day."""

    def __init__(
        self, files: Files, ladder: Ladder, known: Titles, forecast: Forecast, hours: ToldHours
    ) -> None:
        self._known, self._forecast = known, forecast
        places = [ladder.place[key] for key in zip(files.titles, files.renditions, strict=True)]
        self._row = np.array([row for row, _ in places], dtype=np.int64)
        self._at = np.array([at for _, at in places], dtype=np.int64)
        self._size = files.size_bytes.astype(np.float64)
        share = files.head_bytes / np.maximum(self._size, 1.0)
        self._head = np.zeros(known.size_bytes.shape)
        is_picture = self._at >= 0
        self._head[self._row[is_picture], self._at[is_picture]] = share[is_picture]
        self._sound_part = np.array(
            [
                _sound_part(title, rendition, ladder, hours) if at < 0 else 0.0
                for title, rendition, at in zip(
                    files.titles, files.renditions, self._at, strict=True
                )
            ],
            dtype=np.float64,
        )

    def guess_share(self, edge: int) -> float:
        return float(self._forecast.guess_share[edge])

    def of(self, edge: int) -> tuple[Floats, Floats]:
        """(file,): of the whole, and of its head."""
        whole, head = file_values(self._forecast, self._known, edge, self._head)
        at = np.maximum(self._at, 0)
        sizes = np.maximum(self._known.size_bytes, 1.0)
        # Viewings in full lengths, of whichever rung: what sound they take is the same.
        lengths = (whole / sizes).sum(axis=1)[self._row]
        head_part = (head.sum(axis=1) / np.maximum(whole.sum(axis=1), 1e-12))[self._row]
        sound = lengths * self._sound_part * self._size
        is_picture = self._at >= 0
        values = np.where(is_picture, whole[self._row, at], sound)
        heads = np.where(is_picture, head[self._row, at], sound * head_part)
        return values, heads


def _sound_part(title: str, rendition: str, ladder: Ladder, hours: ToldHours) -> float:
    row = ladder.row[title]
    names = [one.rendition.id for one in ladder.sounds[row]]
    share = hours.sound_share(row)
    if share is None:
        return 1.0 / len(names)
    return float(share[names.index(rendition)])
