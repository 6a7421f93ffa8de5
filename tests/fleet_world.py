"""A real origin with its control plane, and edges that are only their words: certificates and
messages, so that a test can say what no edge of ours would."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast import fleet
from nearcast.enrol_token import EnrolTokenText, read_token
from origin.drivers.storage import LibraryFolder

LIMIT_S: Final = 30.0


def empty_library(folder: Path) -> Path:
    LibraryFolder(folder, must_exist=False).close()
    return folder


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


class ControlOrigin:
    """`nearcast origin serve` on free ports; killed at the end of the `with`."""

    def __init__(
        self,
        library: Path,
        *settings: str,
        listen: str = "127.0.0.1:0",
        env: dict[str, str] | None = None,
    ) -> None:
        options = [part for setting in settings for part in ("--set", setting)]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "nearcast", "origin", "serve"),
                *("--library", str(library), "--listen", listen, *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.library = library
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._edges: list[SaidEdge] = []
        self.url = self._said("origin ready on ").split()[0]
        self.admin_url = self._said("  page ").split()[0]
        self.fleet_url = self._said("  edges report to ").split()[0]
        token_file = next(line for line in self.lines if line.startswith("  page "))
        self.token_file = Path(token_file.partition("(token in ")[2].rstrip(")\n"))
        self.token = self.token_file.read_text().strip()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    def _said(self, start: str) -> str:
        while True:
            line = self._fresh.get(timeout=LIMIT_S)
            if line is None:
                self.kill()
                raise AssertionError(f"the origin ended: {''.join(self.lines)}")
            if line.startswith(start):
                return line.removeprefix(start)

    def __enter__(self) -> ControlOrigin:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        status = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        for edge in self._edges:
            edge.close()
        return status

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Reply:
        """Of the admin port, with the admin's token unless told otherwise."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token != "" and "cookie" not in given:
            given["authorization"] = f"Bearer {token or self.token}"
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        return ask(self.admin_url, method, path, content, given)

    def adopt(self, edge: SaidEdge) -> None:
        """Have an edge speak to this origin from now on."""
        edge.close()
        edge.fleet_url = self.fleet_url
        self._edges.append(edge)

    def content(self, path: str, **headers: str) -> Reply:
        """From the content listener."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.url, "GET", path, None, given)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer of 2xx."""
        reply = self.ask(method, f"/v1/admin{path}", body)
        assert reply.status < 300, (method, path, reply.status, reply.body)
        return reply.json if reply.body else None

    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("GET", "/edges")["edges"]
        return found

    def edge(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.rows() if one["edge"] == name)
        return found

    def enrol(self, name: str, *, url: str = "", **profile: Any) -> SaidEdge:
        token = read_token(self.api("POST", "/enrolments", {"edge": name})["token"])
        edge = self.stranger(name, token, url=url, **profile)
        reply = edge.enrol()
        assert reply.status == 200, reply.body
        return edge

    def stranger(self, name: str, token: EnrolTokenText | None = None, **profile: Any) -> SaidEdge:
        edge = SaidEdge(self.fleet_url, name, token, **profile)
        self._edges.append(edge)
        return edge

    def wait_for(self, is_true: Any, what: str = "it") -> None:
        deadline_s = time.monotonic() + LIMIT_S
        pause = threading.Event()
        while not is_true():
            assert time.monotonic() < deadline_s, f"{what} did not come true; {self.lines[-5:]}"
            pause.wait(0.02)


def shown_bytes(origin: ControlOrigin, path: str) -> int:
    """What clients took within the hour, by the charts of `/fleet` or `/edges/NAME`."""
    points = origin.api("GET", f"{path}/series?window_s=3600&step_s=60")["points"]
    return sum(point["demand_bytes"] for point in points)


class SaidEdge:
    """Speaks to a fleet port over one kept connection. `folder` holds its certificate."""

    def __init__(
        self,
        fleet_url: str,
        name: str,
        token: EnrolTokenText | None,
        *,
        url: str = "",
        **profile: Any,
    ) -> None:
        """`url` empty: one of its own, at which nobody answers."""
        url = url or f"http://192.0.2.1:{1024 + zlib.crc32(name.encode()) % 60_000}"
        self.name = name
        self.token = token
        self.fleet_url = fleet_url
        self.profile = fleet.EdgeProfile(url=url, capacity_bytes=10**12, **profile)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate_pem = ""
        self.boot_id = os.urandom(8).hex()
        self.sequence_no = 0
        self._connection: http.client.HTTPSConnection | None = None

    def csr_pem(self) -> str:
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        signed = request.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def enrol(self, **changes: Any) -> Reply:
        assert self.token is not None
        body = {
            "token": self.token.secret,
            "edge": self.name,
            "csr_pem": self.csr_pem(),
            "profile": msgspec.to_builtins(self.profile),
            **changes,
        }
        reply = self.post(fleet.ENROL_PATH, body)
        if reply.status == 200:
            answer = msgspec.json.decode(reply.body, type=fleet.EnrolAnswer)
            self.use(answer.certificate_pem)
            self.answer = answer
        return reply

    def use(self, certificate_pem: str) -> None:
        """Show this certificate from the next connection on."""
        self.certificate_pem = certificate_pem
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.certificate_pem:
            key = self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            with tempfile.NamedTemporaryFile() as file:
                file.write(key + self.certificate_pem.encode())
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def connection(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            place = urlsplit(self.fleet_url)
            self._connection = http.client.HTTPSConnection(
                place.hostname or "", place.port, timeout=LIMIT_S, context=self.tls()
            )
        return self._connection

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = self.connection()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.will_close:
            self.close()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, fields, content)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, content, **headers)

    def heartbeat(self, **changes: Any) -> dict[str, Any]:
        self.sequence_no += 1
        return {
            "edge": self.name,
            "boot_id": self.boot_id,
            "sequence_no": self.sequence_no,
            "sent_wall_s": time.time(),
            "storage": {"capacity_bytes": 10**12, "used_bytes": 10**11},
            **changes,
        }

    def beat(self, **changes: Any) -> Reply:
        return self.post(fleet.HEARTBEAT_PATH, self.heartbeat(**changes))


def ask(
    url: str, method: str, path: str, body: bytes | str | None, headers: dict[str, str]
) -> Reply:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=LIMIT_S)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Reply(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def reset(connection: http.client.HTTPSConnection) -> None:
    """Break it as a process that dies does."""
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.sock.close()
