"""Tokens, the audit log, and who one is."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from origin.control import api
from origin.control.access import TOKEN_PREFIX, token_digest
from origin.drivers.control.admin.routes import ApiError, Call, Route
from origin.drivers.state import ControlStore, StateError, StateUnavailable
from origin.records import ApiToken, Role


def new_token() -> str:
    return f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"


async def make_token(
    store: ControlStore,
    name: str,
    role: Role,
    *,
    token: str,
    wall_s: float,
    valid_s: float,
    by: str,
) -> ApiToken:
    """Raises StateError when there is one of that name."""
    made = ApiToken(
        token_sha256=token_digest(token),
        name=name,
        role=role,
        made_wall_s=wall_s,
        until_wall_s=wall_s + valid_s,
    )
    await store.add_api_token(made, by=by)
    return made


class AccessRoutes:
    def __init__(self, store: ControlStore, wall_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall_s = wall_s
        self.routes = (
            Route("GET", "/whoami", "viewer", self._who, "Whose token this is", answer=api.WhoAmI),
            Route("GET", "/tokens", "admin", self._tokens, "All tokens", answer=api.TokenList),
            Route(
                "POST",
                "/tokens",
                "admin",
                self._make,
                "Make a token",
                body=api.TokenWanted,
                answer=api.TokenMade,
            ),
            Route("DELETE", "/tokens/{name}", "admin", self._revoke, "Revoke a token"),
            Route(
                "GET",
                "/audit",
                "viewer",
                self._audit,
                "Who changed what, newest first",
                query=api.AuditQuery,
                answer=api.AuditLog,
            ),
        )

    async def _who(self, call: Call) -> api.WhoAmI:
        return api.WhoAmI(name=call.caller.name, role=call.caller.role)

    async def _tokens(self, call: Call) -> api.TokenList:
        return api.TokenList(
            tokens=tuple(
                api.TokenRow(
                    name=one.name,
                    role=one.role,
                    made_wall_s=one.made_wall_s,
                    until_wall_s=one.until_wall_s,
                    is_revoked=one.revoked_wall_s is not None,
                )
                for one in await self._store.api_tokens()
            )
        )

    async def _make(self, call: Call) -> api.TokenMade:
        wanted: api.TokenWanted = call.body
        token = new_token()
        try:
            made = await make_token(
                self._store,
                wanted.name,
                wanted.role,
                token=token,
                wall_s=self._wall_s(),
                valid_s=wanted.valid_s,
                by=call.caller.name,
            )
        except StateUnavailable:
            raise
        except StateError as error:
            if wanted.name not in {one.name for one in await self._store.api_tokens()}:
                raise  # the database refuses for another reason
            raise ApiError(409, "duplicate", f"there is a token {wanted.name!r} already") from error
        return api.TokenMade(
            name=made.name, role=made.role, token=token, until_wall_s=made.until_wall_s
        )

    async def _revoke(self, call: Call) -> None:
        name = call.path["name"]
        done = await self._store.revoke_api_token(name, wall_s=self._wall_s(), by=call.caller.name)
        if not done:
            raise ApiError(404, "not_found", f"there is no token {name!r} in force")

    async def _audit(self, call: Call) -> api.AuditLog:
        query: api.AuditQuery = call.query
        return api.AuditLog(entries=await self._store.audit_entries(query.limit, query.before_id))
