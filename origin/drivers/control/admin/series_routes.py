"""Figures over time, and why players are sent where they are."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Final

from origin.control import api
from origin.drivers.control.admin.routes import ApiError, Call, Route
from origin.drivers.control.players import Players
from origin.telemetry.series import Series

POINTS: Final = 120
"""Of a window for which no step was named."""
MINUTE_S: Final = 60.0


class SeriesRoutes:
    def __init__(
        self, series: Series, players: Players, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._series = series
        self._players = players
        self._wall_s = wall_s
        self.routes = (
            Route(
                "GET", "/edges/{edge}/series", "viewer", self._edge,
                "An edge's figures over time, by the minute at the finest",
                query=api.SeriesQuery, answer=api.SeriesAnswer,
            ),
            Route(
                "GET", "/fleet/series", "viewer", self._fleet,
                "All edges' figures over time: what viewers took, and what that took of the origin",
                query=api.SeriesQuery, answer=api.SeriesAnswer,
            ),
            Route(
                "GET", "/steering/explain", "viewer", self._explain,
                "Where a client would be sent for a title, and why",
                query=api.SteeringQuery, answer=api.SteeringAnswer,
            ),
        )  # fmt: skip

    async def _edge(self, call: Call) -> api.SeriesAnswer:
        window_s, step_s = _window(call.query)
        points = self._series.edge_points(
            call.path["edge"], until_wall_s=self._wall_s(), window_s=window_s, step_s=step_s
        )
        return api.SeriesAnswer(step_s=step_s, points=points)

    async def _fleet(self, call: Call) -> api.SeriesAnswer:
        window_s, step_s = _window(call.query)
        points = self._series.fleet_points(
            until_wall_s=self._wall_s(), window_s=window_s, step_s=step_s
        )
        return api.SeriesAnswer(step_s=step_s, points=points)

    async def _explain(self, call: Call) -> api.SteeringAnswer:
        query: api.SteeringQuery = call.query
        try:
            ipaddress.ip_address(query.client)
        except ValueError as error:
            raise ApiError(
                400, "bad_request", f"client: {query.client[:80]!r} is no IP address"
            ) from error
        return api.SteeringAnswer(
            client=query.client,
            title=query.title,
            places=self._players.explain(query.client, query.title),
        )


def _window(query: api.SeriesQuery) -> tuple[float, float]:
    """Window and step; steps are whole minutes."""
    step_s = query.step_s or query.window_s / POINTS
    return query.window_s, max(MINUTE_S, step_s // MINUTE_S * MINUTE_S)
