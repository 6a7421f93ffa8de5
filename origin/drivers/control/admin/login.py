"""Who calls the admin API: a bearer token, or a browser's session that was got with one.

Tokens are kept in the database as digests; those seen lately are remembered until something about
tokens changes, so that the API answers while the database is away. Sessions are of this process:
after a restart a browser logs in anew.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from nearcast.errors import NearcastError
from origin.control.access import Guesses, allows, looks_like_token, token_digest
from origin.drivers.control.admin.routes import ApiError, Caller
from origin.drivers.state import ControlStore, StateUnavailable
from origin.records import ApiToken, Role

COOKIE: Final = "nearcast_session"
SESSION_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 1_000
REMEMBERED_MAX: Final = 1_000


class _Session(msgspec.Struct, frozen=True):
    digest: str
    """Of the token it was got with: what ends the token ends the session."""
    until_s: float


class Login:
    """`admin_names`: host names under which this port may be asked."""

    def __init__(
        self,
        store: ControlStore,
        admin_names: Sequence[str],
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._names = frozenset(("localhost", *(name.lower() for name in admin_names)))
        self._now_s = now_s
        self._wall_s = wall_s
        self._known: dict[str, ApiToken] = {}
        self._sessions: dict[str, _Session] = {}
        self.guesses = Guesses()

    def forget(self) -> None:
        """Something about tokens changed."""
        self._known.clear()

    def check_host(self, request: web.BaseRequest) -> None:
        """A page of another site whose name was made to lead here is not let in: the browser
        would give it our answers. An address cannot be made to lead elsewhere. Raises ApiError."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if host.lower() in self._names or _is_address(host):
            return
        raise ApiError(
            421, "host", f"this port is not to be asked as {host[:100]!r}: see control.admin_names"
        )

    async def caller(self, request: web.BaseRequest, needed: Role) -> Caller:
        """Raises ApiError where there is none, or one that may not."""
        bearer = request.headers.get("authorization", "")
        if bearer:
            scheme, _, token = bearer.partition(" ")
            if scheme.lower() != "bearer":
                raise _unknown()
            found = await self._by_token(token.strip(), request.remote or "")
        else:
            found = await self._by_session(request)
        if not allows(found.role, needed):
            raise ApiError(
                403, "role", f"this needs the role {needed}; {found.name} has {found.role}"
            )
        return Caller(found.name, found.role)

    async def log_in(self, token: str, peer: str) -> tuple[Caller, str]:
        """The value of a cookie for a token. Raises ApiError."""
        found = await self._by_token(token, peer)
        session = secrets.token_urlsafe(32)
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[token_digest(session)] = _Session(
            found.token_sha256, self._now_s() + SESSION_S
        )
        return Caller(found.name, found.role), session

    def log_out(self, request: web.BaseRequest) -> None:
        self._sessions.pop(token_digest(_cookie(request)), None)

    async def _by_session(self, request: web.BaseRequest) -> ApiToken:
        session = self._sessions.get(token_digest(_cookie(request)))
        if session is None or session.until_s < self._now_s():
            raise _unknown()
        if request.method not in ("GET", "HEAD"):
            _check_same_site(request)
        found = await self._good(session.digest)
        if found is None:
            raise _unknown()
        return found

    async def _by_token(self, token: str, peer: str) -> ApiToken:
        found = await self._good(token_digest(token)) if looks_like_token(token) else None
        if found is not None:
            # Whatever else came from there: behind a proxy all have one address.
            return found
        wait_s = self.guesses.wait_s(peer, self._now_s())
        self.guesses.wrong(peer, self._now_s())
        if wait_s > 0:
            raise ApiError(
                429, "busy", "too many wrong tokens: wait a minute", retry_s=int(wait_s) + 1
            )
        raise _unknown()

    async def _good(self, digest: str) -> ApiToken | None:
        found = self._known.get(digest)
        if found is None:
            try:
                found = await self._store.api_token(digest)
            except StateUnavailable as error:
                raise ApiError(503, "state", error.trouble, retry_s=2) from error
            except NearcastError as error:
                raise ApiError(500, "state", "the database refuses to answer") from error
            if found is None:
                return None
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[digest] = found
        is_over = found.revoked_wall_s is not None or found.until_wall_s <= self._wall_s()
        return None if is_over else found


def cookie_field(session: str, *, is_secure: bool) -> str:
    """A Set-Cookie field; empty: the end of a session."""
    age_s = int(SESSION_S) if session else 0
    secure = "; Secure" if is_secure else ""
    return f"{COOKIE}={session}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"


def _cookie(request: web.BaseRequest) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(request.headers.get("cookie", "")[:4096])
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _check_same_site(request: web.BaseRequest) -> None:
    """SameSite=Strict should see to it; this is for browsers that do not."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        is_ours = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not is_ours:
        raise ApiError(403, "site", "this came from another site's page")


def refuse_other_sites(request: web.BaseRequest) -> None:
    """For what needs no session: programs say nothing of a site. Raises ApiError."""
    if "sec-fetch-site" in request.headers or "origin" in request.headers:
        _check_same_site(request)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _unknown() -> ApiError:
    return ApiError(
        401, "token", "the token is missing, wrong or over: see admin.token in the library's folder"
    )
