"""What players get of the control plane: where to go, and somebody who hears what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from origin.drivers.control.view import View
from origin.steering import EdgePlace, Steering
from origin.steering.clones import NamedEdge


class Players:
    """Answers the public paths (`Steers`)."""

    def __init__(
        self,
        steering: Steering,
        view: View,
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.steering = steering
        self._view = view
        self._now_s = now_s
        self._wall_s = wall_s

    def steer(self, client: str, title: str, query: str) -> bytes:
        return self.steering.answer(
            client, title, query, wall_s=self._wall_s(), now_s=self._now_s()
        )

    def edges_for(self, client: str, title: str) -> tuple[NamedEdge, ...]:
        return self.steering.edges_for(client, title, wall_s=self._wall_s(), now_s=self._now_s())

    def explain(self, client: str, title: str) -> tuple[EdgePlace, ...]:
        return self.steering.explain(client, title, wall_s=self._wall_s(), now_s=self._now_s())

    def edges_by_host(self) -> dict[str, str]:
        return self._view.edges_by_host()

    def player_errors(self, edge: str, count: int) -> None:
        self._view.player_errors(edge, count)
