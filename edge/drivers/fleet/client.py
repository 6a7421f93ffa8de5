"""The edge's side of the fleet port: JSON over mutual TLS, on connections that are kept.

Answers are bounded in size and in time, and no redirect is followed: only the origins that the
authority vouches for are ever spoken to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import aiohttp
import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.fleet import BODY_BYTES_MAX, Refused

TIMEOUT_S: Final = 10.0
CONNECT_S: Final = 3.0
CONNECTIONS_MAX: Final = 8
KEPT_S: Final = 400.0
"""Longer than the longest pause between two heartbeats."""


MessageT = TypeVar("MessageT")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What an origin answered."""

    status: int
    body: bytes

    def refused(self) -> Refused:
        """What it says in an answer that is none of 2xx."""
        try:
            return msgspec.json.decode(self.body, type=Refused)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refused(error="bad_request", detail=f"the origin answered {self.status}")

    def message(self, kind: type[MessageT]) -> MessageT:
        """What an answer of 200 says. Raises RemoteProtocolError when it is no such message."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"the origin answers nonsense: {error}") from error


class FleetClient:
    """Make it inside the running loop. `current`: the origin to ask; `failed`: one did not answer,
    and `current` is another one from now on."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        origins: Callable[[], Sequence[str]],
        current: Callable[[], str],
        failed: Callable[[str], None],
    ) -> None:
        self._tls = tls
        self._origins = origins
        self._current = current
        self._failed = failed
        self._session = self._connected()

    def use(self, tls: ssl.SSLContext) -> None:
        """Show another certificate from now on."""
        before, self._tls = self._session, tls
        self._session = self._connected()
        self._closing = asyncio.get_running_loop().create_task(before.close())

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """At the origin that answers: each is tried once. Raises RemoteProtocolError when none
        does."""
        failure: RemoteProtocolError | None = None
        for _ in self._origins():
            origin = self._current()
            try:
                reply = await self.ask(origin, "POST", path, body, headers)
            except RemoteProtocolError as error:
                failure = error
                self._failed(origin)
            else:
                return reply.status, reply.body
        raise failure if failure is not None else RemoteProtocolError("the fleet has no origin")

    async def ask(
        self,
        origin: str,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        bytes_max: int = BODY_BYTES_MAX,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """At this origin. Raises RemoteProtocolError when it does not answer, or too much."""
        fields = {"content-type": "application/json"} if body else {}
        fields.update(headers or {})
        try:
            async with self._session.request(
                method,
                origin + path,
                data=body or None,
                headers=fields,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            ) as answer:
                parts, size_bytes = [], 0
                async for part in answer.content.iter_any():
                    parts.append(part)
                    size_bytes += len(part)
                    if size_bytes > bytes_max:
                        raise RemoteProtocolError(
                            f"{origin}{path} answers more than {bytes_max} bytes"
                        )
                return Reply(status=answer.status, body=b"".join(parts))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise RemoteProtocolError(f"{origin}: {reason}") from error

    async def close(self) -> None:
        await self._session.close()

    def _connected(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._tls, limit=CONNECTIONS_MAX, keepalive_timeout=KEPT_S
        )
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)
