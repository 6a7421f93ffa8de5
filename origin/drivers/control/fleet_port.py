"""What edges ask (nearcast.fleet), over TLS.

Enrolment and the authority's certificate are to be had without a certificate; for everything else
the TLS stack has verified one, and the desk says at each request whether it counts still: a
connection may outlive the edge's right to it. Every refusal is counted by its reason.
"""

from __future__ import annotations

import ssl
from typing import Final, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from nearcast.fleet import (
    AUTHORITY_PATH,
    BODY_BYTES_MAX,
    ENROL_PATH,
    HEARTBEAT_PATH,
    OBSERVATIONS_PATH,
    PLAN_PATH,
    RENEW_PATH,
    TELEMETRY_PATH,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
    Observations,
    Refusal,
    Refused,
    RenewRequest,
)
from nearcast.telemetry import PIECE_BYTES_MAX, PiecePlace, Received
from origin.drivers.control.bodies import BodyRefused, read_body
from origin.drivers.control.connections import Connection
from origin.drivers.control.listener import Listener

JSON_TYPE: Final = "application/json"
IDLE_S: Final = 75.0

_STATUS: Final[dict[Refusal, int]] = {
    "bad_request": 400,
    "bad_token": 403,
    "duplicate": 409,
    "unknown_edge": 403,
    "revoked": 403,
    "forged": 403,
    "replayed": 409,
    "clock": 409,
    "too_large": 413,
    "busy": 429,
    "not_found": 404,
}

BodyT = TypeVar("BodyT", bound=msgspec.Struct)


class FleetDesk(Protocol):
    """Who answers. `edge` is what a certificate says, verified and in force."""

    def admits(self, edge: str, serial: str, until_wall_s: float) -> Refused | None:
        """Whether such a certificate counts at the moment; None: yes."""

    async def enrol(self, request: EnrolRequest, peer: str) -> EnrolAnswer | Refused: ...

    async def renew(self, edge: str, serial: str, request: RenewRequest) -> EnrolAnswer | Refused:
        """`serial` is of the certificate that was shown."""

    def heartbeat(
        self, edge: str, until_wall_s: float, beat: Heartbeat, body: bytes
    ) -> HeartbeatAnswer | Refused:
        """`body` is what `beat` was read from; the certificate is good until `until_wall_s`."""

    def observations(self, edge: str, seen: Observations) -> Refused | None: ...

    async def plan(self, edge: str) -> tuple[str, bytes] | Refused:
        """Its id and the SignedPlan as JSON."""

    async def telemetry(
        self, edge: str, piece: PiecePlace, body: bytes, encoding: str
    ) -> Received | Refused: ...

    def refused(self, reason: Refusal, edge: str) -> None:
        """Count it."""

    def connection_lost(self, edge: str) -> None: ...

    @property
    def authority_pem(self) -> str: ...


class FleetPort:
    """Listens for edges. `start`, then `close`."""

    def __init__(self, desk: FleetDesk, tls: ssl.SSLContext, *, connections_max: int) -> None:
        self._desk = desk
        self._encoder = msgspec.json.Encoder()
        self._heartbeats = msgspec.json.Decoder(Heartbeat)
        self.listener = Listener(
            self._handle,
            what="control.fleet_listen",
            connections_max=connections_max,
            idle_s=IDLE_S,
            lost=self._lost,
            known=self._is_known,
            tls=tls,
            decompress=False,
        )

    async def start(self, listen: str) -> tuple[str, int]:
        return await self.listener.start(listen)

    async def close(self) -> None:
        await self.listener.close()

    def _is_known(self, connection: Connection) -> bool:
        edge = connection.edge
        no = self._desk.admits(edge, connection.serial, connection.until_wall_s) if edge else True
        return no is None

    def _lost(self, connection: Connection) -> None:
        if connection.edge:
            self._desk.connection_lost(connection.edge)

    async def _handle(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        try:
            answer = await self._answer(request, connection, path, query)
        except BodyRefused as refused:
            reason: Refusal = "too_large" if refused.status == 413 else "bad_request"
            answer = Refused(error=reason, detail=refused.detail)
            response = self._response(answer, connection)
            response.force_close()
            return response
        if isinstance(answer, web.StreamResponse):
            return answer
        return self._response(answer, connection)

    async def _answer(
        self, request: web.BaseRequest, connection: Connection, path: str, query: str
    ) -> msgspec.Struct | web.StreamResponse:
        method = request.method
        if method == "GET" and path == AUTHORITY_PATH:
            return web.Response(text=self._desk.authority_pem)
        if method == "POST" and path == ENROL_PATH:
            asked = self._read(await read_body(request, BODY_BYTES_MAX), EnrolRequest)
            return (
                asked
                if isinstance(asked, Refused)
                else await self._desk.enrol(asked, connection.peer)
            )
        if not connection.edge:
            return Refused(
                error="unknown_edge", detail="this needs a certificate: enrol the edge first"
            )
        edge = connection.edge
        no = self._desk.admits(edge, connection.serial, connection.until_wall_s)
        if no is not None:
            return no
        if method == "POST" and path == HEARTBEAT_PATH:
            body = await read_body(request, BODY_BYTES_MAX)
            try:
                beat = self._heartbeats.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                return _unreadable(error)
            return self._desk.heartbeat(edge, connection.until_wall_s, beat, body)
        if method == "GET" and path == PLAN_PATH:
            return await self._plan(request, edge)
        if method == "POST" and path == TELEMETRY_PATH:
            try:
                piece = msgspec.convert(dict(parse_qsl(query)), PiecePlace, strict=False)
            except msgspec.ValidationError as error:
                return _unreadable(error)
            body = await read_body(request, PIECE_BYTES_MAX)
            encoding = request.headers.get("content-encoding", "")
            return await self._desk.telemetry(edge, piece, body, encoding)
        if method == "POST" and path == OBSERVATIONS_PATH:
            seen = self._read(await read_body(request, BODY_BYTES_MAX), Observations)
            if isinstance(seen, Refused):
                return seen
            return self._desk.observations(edge, seen) or web.Response(status=204)
        if method == "POST" and path == RENEW_PATH:
            renewal = self._read(await read_body(request, BODY_BYTES_MAX), RenewRequest)
            if isinstance(renewal, Refused):
                return renewal
            return await self._desk.renew(edge, connection.serial, renewal)
        return Refused(error="not_found", detail=f"there is no {method} {path[:200]} here")

    async def _plan(self, request: web.BaseRequest, edge: str) -> Refused | web.StreamResponse:
        found = await self._desk.plan(edge)
        if isinstance(found, Refused):
            return found
        plan_id, content = found
        fields = {"etag": f'"{plan_id}"', "cache-control": "no-cache", "content-type": JSON_TYPE}
        if request.headers.get("if-none-match") == f'"{plan_id}"':
            return web.Response(status=304, headers=fields)
        return web.Response(body=content, headers=fields)

    def _read(self, body: bytes, kind: type[BodyT]) -> BodyT | Refused:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _unreadable(error)

    def _response(self, answer: msgspec.Struct, connection: Connection) -> web.Response:
        status = 200
        if isinstance(answer, Refused):
            status = _STATUS[answer.error]
            self._desk.refused(answer.error, connection.edge)
        return web.Response(
            status=status,
            body=self._encoder.encode(answer),
            headers={"content-type": JSON_TYPE},
        )


def _unreadable(error: Exception) -> Refused:
    return Refused(error="bad_request", detail=str(error)[:500])


def tls_context(authority_pem: str) -> ssl.SSLContext:
    """Of a server that takes a client's certificate where it has one, and only ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority_pem)
    context.set_alpn_protocols(["http/1.1"])
    # No resumption: connections are kept for long, and a ticket would outlive a revocation's log.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    return context
