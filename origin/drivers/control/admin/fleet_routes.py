"""Edges: how they do, and what the operator wants of them."""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from nearcast.errors import InputError
from nearcast.fleet import EdgeId
from origin.control import api
from origin.drivers.control.admin.routes import ApiError, Call, Route
from origin.drivers.control.identities import Identities
from origin.drivers.control.profiles import changes
from origin.drivers.state import UrlTaken
from origin.records import EdgeRecord


class FleetView(Protocol):
    """The fleet as it is now."""

    def totals(self) -> api.FleetTotals: ...

    def rows(self) -> tuple[api.EdgeRow, ...]: ...

    def detail(self, edge: str) -> api.EdgeDetail | None: ...

    def edge_changed(self, record: EdgeRecord) -> None:
        """Its record was changed in the database."""

    def forget_edge(self, edge: str) -> None:
        """Its record was removed from the database."""


class FleetRoutes:
    def __init__(self, view: FleetView, identities: Identities) -> None:
        self._view = view
        self._identities = identities
        self.routes = (
            Route(
                "GET", "/fleet", "viewer", self._totals, "The fleet in figures",
                answer=api.FleetTotals,
            ),
            Route(
                "GET", "/edges", "viewer", self._edges, "All edges, by name", answer=api.EdgeList
            ),
            Route(
                "GET", "/edges/{edge}", "viewer", self._edge, "One edge", answer=api.EdgeDetail
            ),
            Route(
                "POST", "/edges/{edge}/duty", "operator", self._duty,
                "Put an edge to work, drain it, or take it into maintenance",
                body=api.DutyWanted, answer=api.Changed,
            ),
            Route(
                "POST", "/edges/{edge}/profile", "admin", self._profile,
                "Change what an edge said of itself: where players reach it, whom it is near",
                body=api.ProfileWanted, answer=api.ProfileNow,
            ),
            Route(
                "DELETE", "/edges/{edge}", "admin", self._revoke,
                "Take an edge out of the fleet: its certificate ends at once", answer=api.Changed,
            ),
            Route(
                "DELETE", "/edges/{edge}/record", "admin", self._forget,
                "Forget an edge that was revoked; the audit log keeps what was done with it",
            ),
            Route(
                "POST", "/enrolments", "admin", self._invite,
                "Make a token with which one edge may enrol, once",
                body=api.Invitation, answer=api.Invited,
            ),
        )  # fmt: skip

    async def _totals(self, call: Call) -> api.FleetTotals:
        return self._view.totals()

    async def _edges(self, call: Call) -> api.EdgeList:
        return api.EdgeList(totals=self._view.totals(), edges=self._view.rows())

    async def _edge(self, call: Call) -> api.EdgeDetail:
        edge = _edge_of(call)
        found = self._view.detail(edge)
        if found is None:
            raise _unknown(edge)
        return found

    async def _duty(self, call: Call) -> api.Changed:
        wanted: api.DutyWanted = call.body
        edge = _edge_of(call)
        return self._changed(
            edge, await self._identities.set_duty(edge, wanted.duty, call.caller.name)
        )

    async def _profile(self, call: Call) -> api.ProfileNow:
        edge = _edge_of(call)
        try:
            wanted = changes(call.body, time.time())
        except InputError as error:
            raise ApiError(400, "bad_request", str(error)) from error
        try:
            record = await self._identities.set_profile(edge, wanted, call.caller.name)
        except UrlTaken as error:
            raise ApiError(409, "duplicate", str(error)) from error
        if record is None:
            raise _unknown(edge)
        self._view.edge_changed(record)
        return api.ProfileNow(edge=edge, profile=record.profile)

    async def _revoke(self, call: Call) -> api.Changed:
        edge = _edge_of(call)
        return self._changed(edge, await self._identities.revoke(edge, call.caller.name))

    async def _forget(self, call: Call) -> None:
        edge = _edge_of(call)
        if not await self._identities.forget(edge, call.caller.name):
            if edge in self._identities.records:
                raise ApiError(409, "not_revoked", f"{edge} is in the fleet: revoke it first")
            raise _unknown(edge)
        self._view.forget_edge(edge)

    def _changed(self, edge: str, record: EdgeRecord | None) -> api.Changed:
        if record is None:
            raise _unknown(edge)
        self._view.edge_changed(record)
        return api.Changed(edge=record.edge, duty=record.duty, is_revoked=record.revoked)

    async def _invite(self, call: Call) -> api.Invited:
        wanted: api.Invitation = call.body
        token, until_wall_s = await self._identities.invite(
            wanted.edge, wanted.valid_s, call.caller.name
        )
        return api.Invited(edge=wanted.edge, token=token, until_wall_s=until_wall_s)


def _edge_of(call: Call) -> str:
    try:
        return msgspec.convert(call.path["edge"], EdgeId)
    except msgspec.ValidationError as error:
        raise ApiError(
            400, "bad_request", f"{call.path['edge'][:80]!r} is no edge's name"
        ) from error


def _unknown(edge: str) -> ApiError:
    return ApiError(404, "unknown_edge", f"there is no edge {edge}: see nearcast origin fleet list")
