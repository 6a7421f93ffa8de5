"""A fleet that is only its words, as a process of its own: heartbeats and telemetry of many edges,
each over a connection that is kept, with a certificate that was enrolled for.

Told what to do by one line of JSON on standard input; says `ready` when all edges are connected,
then a line is awaited, at the end one line of JSON tells what was seen, and after
another line it ends.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nearcast.clock import SystemClock
from nearcast.enrol_token import read_token
from nearcast.fleet import (
    ENROL_PATH,
    HEARTBEAT_PATH,
    TELEMETRY_PATH,
    EdgeProfile,
    EnrolAnswer,
    EnrolRequest,
    Heartbeat,
    HeartbeatAnswer,
    Load,
    Qoe,
    Storage,
    Traffic,
)
from nearcast.seeds import Seeds
from nearcast.telemetry import Demand
from simulation.bench.fleet_alive import answer_probes

HANDSHAKES_AT_A_TIME: Final = 8
TITLES: Final = 500
RENDITIONS: Final = 3
EVENTS_A_PIECE: Final = 50
HELD_TITLES: Final = 1_000
SAMPLES_MAX: Final = 2_000
ANSWER_S: Final = 30.0
_CLOCK: Final = SystemClock()


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    tokens: tuple[str, ...]
    """One for each edge."""
    warm_s: float
    """Of load before what is seen counts."""
    duration_s: float
    events_per_s: float
    seed: int = 1


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    heartbeat_count: int
    event_count: int
    refused_count: int
    interval_s: float
    heartbeat_s: tuple[float, ...]
    """Sorted and thinned out evenly."""
    telemetry_s: tuple[float, ...]


class Line:
    """One kept connection; a plain HTTP/1.1 client for answers of a known length."""

    def __init__(self, url: str, tls: ssl.SSLContext | None) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 0
        self._tls = tls
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def connect(self) -> None:
        self._ends = await asyncio.open_connection(self._host, self._port, ssl=self._tls)

    async def post(self, target: str, body: bytes) -> tuple[int, bytes]:
        if self._ends is None:
            await self.connect()
        assert self._ends is not None
        reader, writer = self._ends
        writer.write(
            b"POST %s HTTP/1.1\r\nhost: %s:%d\r\ncontent-length: %d\r\n\r\n%s"
            % (target.encode(), self._host.encode(), self._port, len(body), body)
        )
        async with asyncio.timeout(ANSWER_S):
            head = await reader.readuntil(b"\r\n\r\n")
            size = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            content = await reader.readexactly(size)
        return int(head[9:12]), content

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


class BusyEdge:
    """One edge of the load. Reports what an edge with some viewers would."""

    def __init__(self, token_text: str, number: int, folder: Path) -> None:
        self._token = read_token(token_text)
        self._url = self._token.origins[0]
        self.number = number
        self._folder = folder
        self._boot_id = os.urandom(8).hex()
        self._sequence_no = 0
        self._offset = 0
        self._held: bytes | None = None
        self._line: Line | None = None
        self.interval_s = 5.0

    async def enrol(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        # The bench's own origin on loopback: its certificate is that which comes.
        open_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        open_tls.check_hostname = False
        open_tls.verify_mode = ssl.CERT_NONE
        line = Line(self._url, open_tls)
        body = EnrolRequest(
            token=self._token.secret,
            edge=self._token.edge,
            csr_pem=csr.decode(),
            profile=EdgeProfile(
                url=await answer_probes(self._token.edge),
                cluster=f"site-{self.number // 4}",
                region=f"region-{self.number % 10}",
                networks=(f"10.{self.number // 256}.{self.number % 256}.0/24",),
                capacity_bytes=10**12,
            ),
        )
        status, content = await line.post(ENROL_PATH, msgspec.json.encode(body))
        line.close()
        if status != 200:
            raise RuntimeError(f"enrolment of {self._token.edge}: {status} {content[:200]!r}")
        answer = msgspec.json.decode(content, type=EnrolAnswer)
        tls = ssl.create_default_context(cadata=answer.authority_pem)
        file = self._folder / f"{self.number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + answer.certificate_pem.encode()
        )
        tls.load_cert_chain(file)
        file.unlink()
        self._line = Line(self._url, tls)
        await self._line.connect()

    async def beat(self) -> tuple[float, bool]:
        """How long it took, and whether it was taken."""
        self._sequence_no += 1
        grown = self._sequence_no * 10_000_000
        body = Heartbeat(
            edge=self._token.edge,
            boot_id=self._boot_id,
            sequence_no=self._sequence_no,
            sent_wall_s=_wall_s(),
            uptime_s=self._sequence_no * 5.0,
            software="bench",
            load=Load(client_kbps=16_000.0, connection_count=20, cpu_share=0.1),
            storage=Storage(capacity_bytes=10**12, used_bytes=5 * 10**11),
            traffic=Traffic(
                request_count=self._sequence_no * 40,
                client_bytes=grown,
                resident_bytes=grown * 8 // 10,
                origin_bytes=grown // 5,
                prefetch_bytes=grown // 20,
                prefetch_used_bytes=grown // 30,
                prefetch_waste_bytes=grown // 100,
            ),
            qoe=Qoe(
                session_count=self._sequence_no,
                startup_s=self._sequence_no * 0.8,
                startup_count=self._sequence_no,
                report_count=self._sequence_no * 20,
                bitrate_kbps=self._sequence_no * 20 * 3_000.0,
                bitrate_count=self._sequence_no * 20,
            ),
            held_id=f"{self.number:064x}" if self._held is not None else "",
            held=self._held,
        )
        took_s, status, content = await self._timed(HEARTBEAT_PATH, msgspec.json.encode(body))
        if status != 200:
            return took_s, False
        answer = msgspec.json.decode(content, type=HeartbeatAnswer)
        self.interval_s = answer.interval_s
        if answer.wants_held:
            first = self.number * 7_919
            titles = sorted((first + step * 104_729) % 2**32 for step in range(HELD_TITLES))
            self._held = array("I", titles).tobytes()
        return took_s, True

    async def ship(self, lines: bytes) -> tuple[float, bool]:
        target = f"{TELEMETRY_PATH}?boot={self._boot_id}&segment=1&offset={self._offset}&first=1"
        took_s, status, _ = await self._timed(target, lines)
        if status == 200:
            self._offset += len(lines)
        return took_s, status == 200

    async def _timed(self, target: str, body: bytes) -> tuple[float, int, bytes]:
        assert self._line is not None
        began_s = time.perf_counter()
        status, content = await self._line.post(target, body)
        return time.perf_counter() - began_s, status, content


class Fleet:
    def __init__(self, orders: Orders, folder: Path) -> None:
        self._orders = orders
        self._edges = [
            BusyEdge(token, number, folder) for number, token in enumerate(orders.tokens)
        ]
        self._draw = Seeds(orders.seed).stream("bench/fleet")
        self._counts_from_s = 0.0
        self._until_s = 0.0
        self._heartbeat_s: list[float] = []
        self._telemetry_s: list[float] = []
        self._refused = 0
        self._events = 0
        self._encoder = msgspec.json.Encoder()

    async def connect(self) -> None:
        turns = asyncio.Semaphore(HANDSHAKES_AT_A_TIME)

        async def one(edge: BusyEdge) -> None:
            async with turns:
                await edge.enrol()

        await asyncio.gather(*(one(edge) for edge in self._edges))

    async def run(self) -> Seen:
        self._counts_from_s = time.perf_counter() + self._orders.warm_s
        self._until_s = self._counts_from_s + self._orders.duration_s
        piece_every_s = (
            len(self._edges) * EVENTS_A_PIECE / self._orders.events_per_s
            if self._orders.events_per_s > 0
            else 0.0
        )
        await asyncio.gather(*(self._live(edge, piece_every_s) for edge in self._edges))
        return Seen(
            heartbeat_count=len(self._heartbeat_s),
            event_count=self._events,
            refused_count=self._refused,
            interval_s=self._edges[0].interval_s,
            heartbeat_s=_thinned(self._heartbeat_s),
            telemetry_s=_thinned(self._telemetry_s),
        )

    async def _live(self, edge: BusyEdge, piece_every_s: float) -> None:
        """One connection, so one request at a time, as a real edge's are."""
        now_s = time.perf_counter()
        beat_s = now_s + float(self._draw.random()) * edge.interval_s
        piece_s = now_s + float(self._draw.random()) * piece_every_s
        while True:
            due_s = min(beat_s, piece_s) if piece_every_s else beat_s
            if due_s >= self._until_s:
                return
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            if due_s == beat_s:
                took_s, is_taken = await edge.beat()
                if due_s >= self._counts_from_s:
                    self._heartbeat_s.append(took_s)
                beat_s += edge.interval_s
            else:
                lines = self._lines()
                took_s, is_taken = await edge.ship(lines)
                if due_s >= self._counts_from_s:
                    self._telemetry_s.append(took_s)
                    self._events += EVENTS_A_PIECE if is_taken else 0
                piece_s += piece_every_s
            if not is_taken:
                self._refused += 1

    def _lines(self) -> bytes:
        wall_s = _wall_s()
        titles = self._draw.zipf(1.3, EVENTS_A_PIECE) % TITLES
        return b"".join(
            self._encoder.encode(
                Demand(
                    wall_s=wall_s,
                    title=f"title-{title}",
                    rendition=f"r{index % RENDITIONS}",
                    client_bytes=8_000_000,
                    resident_bytes=6_000_000,
                    origin_bytes=2_000_000,
                    session_count=1,
                )
            )
            + b"\n"
            for index, title in enumerate(titles)
        )


def _wall_s() -> float:
    return _CLOCK.epoch_s + _CLOCK.now_s()


def _thinned(times: list[float]) -> tuple[float, ...]:
    ordered = sorted(times)
    if len(ordered) <= SAMPLES_MAX:
        return tuple(ordered)
    return tuple(ordered[index * len(ordered) // SAMPLES_MAX] for index in range(SAMPLES_MAX))


async def load(orders: Orders) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(orders, Path(folder))
        await fleet.connect()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        seen = await fleet.run()
        print(msgspec.json.encode(seen).decode(), flush=True)
        # Connected until it was looked how many of us are held to be alive.
        await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    from nearcast.aio import run

    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    run(load(orders))


if __name__ == "__main__":
    main()
