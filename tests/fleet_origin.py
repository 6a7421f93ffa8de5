"""An origin's fleet port as a test wants it: real TLS and certificates, answers made to order."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nearcast.enrol_token import EnrolTokenText, write_token
from nearcast.fleet import (
    ENROL_PATH,
    HEARTBEAT_PATH,
    OBSERVATIONS_PATH,
    PLAN_PATH,
    RENEW_PATH,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
    Observations,
    Refused,
    RenewRequest,
)
from nearcast.placement import EdgePlan, FillWindow, PlannedFile
from nearcast.plan_signing import encode_plan, public_key_text
from origin.control.authority import Authority

SECRET = "a secret that is good once"


class FleetOrigin:
    """Ends with the `with`. Tests change the public fields while it runs."""

    def __init__(self, folder: Path, *, port: int = 0, before: FleetOrigin | None = None) -> None:
        """`before`: one that has ended, whose place this takes."""
        self.authority: Authority = before.authority if before else Authority.make(time.time())
        self.plan_key: Ed25519PrivateKey = (
            before.plan_key if before else Ed25519PrivateKey.generate()
        )
        self.beats: list[Heartbeat] = []
        self.observed: list[tuple[float, Observations]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        """By edge, what its heartbeats are answered beside the usual."""
        self.plans: dict[str, bytes] = {}
        self.refuse: Refused | None = None
        """What every heartbeat is answered."""
        self.certificate_s = 30 * 86_400.0
        self.renewals = 0
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fleet = self
        self._server.socket = self._tls(folder).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> FleetOrigin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.close_all()
        self._thread.join()

    def _tls(self, folder: Path) -> ssl.SSLContext:
        certificate_pem, key_pem = self.authority.server_certificate(("127.0.0.1",), time.time())
        file = folder / f"server-{os.urandom(4).hex()}.pem"
        file.write_bytes(certificate_pem.encode() + key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.authority.certificate_pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    # -- for tests

    def token(self, edge: str) -> str:
        certificate = x509.load_pem_x509_certificate(self.authority.certificate_pem.encode())
        return write_token(
            EnrolTokenText(
                origins=(self.url,),
                fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
                secret=SECRET,
                edge=edge,
            )
        )

    def put_plan(self, edge: str, *files: PlannedFile, **changes: Any) -> EdgePlan:
        """Publish a plan for an edge; its next heartbeat is told of it."""
        plan = make_plan(edge, *files, **changes)
        private = self.plan_key.private_bytes_raw()
        self.plans[edge] = encode_plan(plan, (private,))
        self.answers.setdefault(edge, {})["plan_id"] = plan.plan_id
        return plan

    def last(self, edge: str) -> Heartbeat | None:
        return next((beat for beat in reversed(self.beats) if beat.edge == edge), None)

    # -- what edges ask

    def enrolled(self, edge: str, csr_pem: str) -> EnrolAnswer:
        certificate = self.authority.edge_certificate(
            edge, csr_pem, time.time(), valid_s=self.certificate_s
        )
        public = public_key_text(self.plan_key.private_bytes_raw())
        return EnrolAnswer(
            edge=edge,
            certificate_pem=certificate.certificate_pem,
            authority_pem=self.authority.certificate_pem,
            plan_keys=(public,),
            origins=(self.url,),
        )

    def answer(self, beat: Heartbeat) -> HeartbeatAnswer | Refused:
        self.beats.append(beat)
        if self.refuse is not None:
            return self.refuse
        usual = HeartbeatAnswer(interval_s=0.2, wall_s=time.time(), probe_s=0.5)
        return msgspec.structs.replace(usual, **self.answers.get(beat.edge, {}))


def make_plan(edge: str, *files: PlannedFile, **changes: Any) -> EdgePlan:
    """One that is valid now, with a window of an hour."""
    wall_s = time.time()
    plan = EdgePlan(
        plan_id="",
        edge=edge,
        made_wall_s=wall_s,
        valid_from_wall_s=wall_s - 1.0,
        valid_until_wall_s=wall_s + 86_400.0,
        pinned_bytes_max=50_000_000,
        fill_bytes_max=50_000_000,
        fill_kbps_max=400_000.0,
        windows=(FillWindow(from_wall_s=wall_s - 1.0, until_wall_s=wall_s + 3_600.0),),
        files=files,
    )
    plan = msgspec.structs.replace(plan, **changes)
    name = hashlib.sha256(msgspec.json.encode(plan)).hexdigest()
    return msgspec.structs.replace(plan, plan_id=name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fleet: FleetOrigin

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """As a process that ends does with its connections."""
        for request in tuple(self._open):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # an edge was killed, or does not trust us


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20
    _kinds: ClassVar[dict[str, Any]] = {
        ENROL_PATH: EnrolRequest,
        RENEW_PATH: RenewRequest,
        HEARTBEAT_PATH: Heartbeat,
        OBSERVATIONS_PATH: Observations,
    }

    def do_GET(self) -> None:
        fleet = self.server.fleet
        if self.path == "/v1/fleet/authority":
            self._send(200, fleet.authority.certificate_pem.encode())
        elif self.path == PLAN_PATH and (edge := self._edge()) in fleet.plans:
            self._send(200, fleet.plans[edge])
        else:
            self._send_refused(Refused(error="not_found", detail="nothing here"), 404)

    def do_POST(self) -> None:
        fleet = self.server.fleet
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        kind = self._kinds.get(self.path.partition("?")[0])
        if kind is None:
            self._send_refused(Refused(error="not_found", detail="nothing here"), 404)
            return
        message = msgspec.json.decode(body, type=kind)
        if isinstance(message, EnrolRequest):
            if message.token != SECRET:
                self._send_refused(Refused(error="bad_token", detail="no such token"), 403)
                return
            answer: Any = fleet.enrolled(message.edge, message.csr_pem)
        elif isinstance(message, RenewRequest):
            fleet.renewals += 1
            answer = fleet.enrolled(self._edge(), message.csr_pem)
        elif message.edge != self._edge():
            self._send_refused(Refused(error="forged", detail="another edge"), 403)
            return
        elif isinstance(message, Observations):
            fleet.observed.append((time.monotonic(), message))
            answer = {}
        else:
            answer = fleet.answer(message)
            if isinstance(answer, Refused):
                self._send_refused(answer, 409)
                return
        self._send(200, msgspec.json.encode(answer))

    def _edge(self) -> str:
        shown = self.connection.getpeercert()
        if not shown:
            return ""
        return str(dict(pair[0] for pair in shown["subject"])["commonName"])

    def _send_refused(self, refused: Refused, status: int) -> None:
        self._send(status, msgspec.json.encode(refused))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def forged(signed: bytes) -> bytes:
    """A plan that somebody has changed after it was signed."""
    plan = msgspec.json.decode(signed)
    payload = msgspec.json.decode(base64.b64decode(plan["payload"]))
    payload["fill_bytes_max"] += 1
    plan["payload"] = base64.b64encode(msgspec.json.encode(payload)).decode()
    return msgspec.json.encode(plan)
