"""One viewer who watches several titles in a row.

What was learnt about the network lives on from title to title, and so does the rung.
"""

from __future__ import annotations

import itertools
from typing import Annotated

import msgspec
import numpy as np

from abr import events as ev
from abr.config import PlayerConfig
from abr.hosts import HostHealth
from abr.playback import TIME_S_TOLERANCE
from abr.player import PlayerCore
from abr.report import SessionReport, ViewerReport, viewer_report
from abr.status import PlayerStatus
from abr.throughput import Sample, ThroughputMeter
from abr.timeline import ForecastMark
from nearcast.machine import EffectQueue
from nearcast.record import Recorder
from predictor.bandwidth import Prior


class PlayItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One title to watch. `watch_s`: leave after watching that much, None for all of it. `gap_s`:
    pause before it starts."""

    url: str
    watch_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    gap_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    is_next_episode: bool = False


class ViewingPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one viewer watches, in order. A title's CMCD session is `<viewer_id>-<number from
    1>`."""

    viewer_id: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    items: tuple[PlayItem, ...]


class ViewerCore:
    """The machine for a viewer: `Start` begins the first item's gap; `Leave` ends it all.

    A title that failed ends the viewing: who follows a series does not skip an episode.
    """

    def __init__(
        self,
        config: PlayerConfig,
        plan: ViewingPlan,
        *,
        recorder: Recorder,
        generator: np.random.Generator | None = None,
        prior: Prior | None = None,
    ) -> None:
        self._config = config
        self._plan = plan
        self._recorder = recorder
        self._meter = ThroughputMeter(prior)
        self._health = HostHealth(config.retry, generator)
        self._request_ids = itertools.count(1)
        self._effects: EffectQueue[ev.Effect] = EffectQueue()
        self._player: PlayerCore | None = None
        self._carried_kbps: float | None = None
        self._reports: list[SessionReport] = []
        self._item_index = -1
        self._next_at_s: float | None = None
        self._is_done = False

    @classmethod
    def from_config(
        cls,
        config: PlayerConfig,
        plan: ViewingPlan,
        *,
        recorder: Recorder,
        generator: np.random.Generator | None = None,
        prior: Prior | None = None,
    ) -> ViewerCore:
        """`generator` spreads retries over time and load over hosts; without one, both are
        exact. `prior`: what is remembered of the network the viewer is on."""
        return cls(config, plan, recorder=recorder, generator=generator, prior=prior)

    @property
    def is_done(self) -> bool:
        """Nothing more will happen."""
        return self._is_done

    def handle(self, event: ev.Event, now_s: float) -> None:
        if isinstance(event, ev.Start):
            self._plan_next(now_s)
        elif isinstance(event, ev.Leave):
            self._next_at_s = None
            self._is_done = True
            if self._player is not None:
                self._player.handle(event, now_s)
        elif self._player is not None:
            self._player.handle(event, now_s)
        self._go_on(now_s)

    def advance(self, now_s: float) -> None:
        if self._player is not None:
            self._player.advance(now_s)
        self._go_on(now_s)

    def deadline_s(self) -> float | None:
        return self._next_at_s if self._player is None else self._player.deadline_s()

    def drain(self) -> list[ev.Effect]:
        return self._effects.drain()

    def status(self) -> PlayerStatus | None:
        """Of the title that is on; None in between."""
        return None if self._player is None else self._player.status()

    def missed_kbps(self) -> tuple[float, ...]:
        """Of the newest samples, those that an edge did not answer from its store."""
        return tuple(each.throughput_kbps for each in self._meter.samples if not each.is_hit)

    def last_sample(self) -> Sample | None:
        """What was measured last of the network."""
        return self._meter.samples[-1] if self._meter.samples else None

    def foreseen(self, at_s: float) -> ForecastMark | None:
        """What the controller expected of the segment that it decided on last, at `at_s`."""
        return None if self._player is None else self._player.foreseen(at_s)

    def report(self) -> ViewerReport:
        """So far, or of everything once it is done."""
        running = () if self._player is None else (self._player.report(),)
        return viewer_report(self._plan.viewer_id, (*self._reports, *running))

    def _go_on(self, now_s: float) -> None:
        """Hand on what the player decided; when its title is over, turn to the next."""
        while True:
            if self._player is not None:
                for effect in self._player.drain():
                    self._effects.emit(effect)
                if self._player.ended is None:
                    return
                self._close_title(self._player, now_s)
            if self._next_at_s is None or now_s < self._next_at_s - TIME_S_TOLERANCE:
                return
            self._open_title(now_s)

    def _close_title(self, player: PlayerCore, now_s: float) -> None:
        self._reports.append(player.report())
        self._carried_kbps = player.last_kbps
        self._player = None
        if player.ended == "failed":
            self._is_done = True
        if not self._is_done:
            self._plan_next(now_s)

    def _plan_next(self, now_s: float) -> None:
        self._item_index += 1
        if self._item_index < len(self._plan.items):
            self._next_at_s = now_s + self._plan.items[self._item_index].gap_s
        else:
            self._is_done = True

    def _open_title(self, now_s: float) -> None:
        item = self._plan.items[self._item_index]
        self._next_at_s = None
        self._player = PlayerCore(
            self._config,
            item.url,
            session_id=f"{self._plan.viewer_id}-{self._item_index + 1}",
            meter=self._meter,
            request_ids=self._request_ids,
            recorder=self._recorder,
            health=self._health,
            watch_s=item.watch_s,
            is_next_episode=item.is_next_episode,
            carried_kbps=self._carried_kbps,
        )
        self._player.handle(ev.Start(), now_s)
