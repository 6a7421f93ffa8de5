"""A large fleet for the page: records in the database, and heartbeats as another origin process
would have written them. All edges answer probes at one address."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
import numpy as np

from nearcast.fleet import EdgeProfile, Heartbeat, Load, Qoe, Storage, Traffic
from nearcast.seeds import Seeds
from origin.drivers.state import ControlStore, fleet_rows
from origin.records import EdgeRecord, HeartbeatRecord

REGIONS: Final = ("ams", "bru", "fra", "lon", "mad", "mil", "par", "sto", "waw", "zrh")
ROUND_S: Final = 5
"""Each edge is heard once in a round, a fifth of them each second."""
CAPACITY: Final = 2 * 10**12


class _Alive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class ManyEdges:
    """Edges that are enrolled from the start (`make` before the origin is started) and heard
    within the `with`. Edges in `silent` say nothing."""

    def __init__(self, library: Path, count: int) -> None:
        self._library = library
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Alive)
        self._server.daemon_threads = True
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.names = tuple(f"{REGIONS[at % 10]}-{at // 10 + 1:03d}" for at in range(count))
        self._profiles = {
            name: EdgeProfile(
                url=url,
                region=name[:3],
                cluster=f"{name[:3]}-{'abc'[at % 3]}",
                capacity_bytes=CAPACITY,
                link_kbps=10_000_000.0,
            )
            for at, name in enumerate(self.names)
        }
        draws = Seeds(6).stream("browser/edges")
        self._size = draws.lognormal(0.0, 0.5, count)
        self._hit = draws.uniform(0.55, 0.92, count)
        self._traffic = np.zeros(count)
        self._sequence_no = 0
        self._origin_bytes = np.zeros(count)
        self.silent: set[str] = set()
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True),
            threading.Thread(target=lambda: asyncio.run(self._beat()), daemon=True),
        ]

    def make(self) -> None:
        async def put() -> None:
            store = await ControlStore.open("", self._library)
            wall_s = time.time()
            async with store.database.writing() as connection:  # one flush to the disk for all
                for at, name in enumerate(self.names):
                    record = EdgeRecord(
                        edge=name,
                        profile=self._profiles[name],
                        duty="maintenance" if at % 211 == 7 else "active",
                        serial=f"{at:x}",
                        enrolled_wall_s=wall_s,
                        changed_wall_s=wall_s,
                    )
                    await fleet_rows.put_edge(connection, record, by="", action="")
            await self._round(store, range(len(self.names)))
            await store.close()

        asyncio.run(put())

    def __enter__(self) -> ManyEdges:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join(30)
        self._server.server_close()

    async def _beat(self) -> None:
        store = await ControlStore.open("", self._library)
        turn = 0
        while not self._ends.is_set():
            began_s = time.monotonic()
            await self._round(store, range(turn % ROUND_S, len(self.names), ROUND_S))
            turn += 1
            left_s = 1.0 - (time.monotonic() - began_s)
            await asyncio.to_thread(self._ends.wait, max(0.0, left_s))
        await store.close()

    async def _round(self, store: ControlStore, edges: range) -> None:
        self._sequence_no += 1
        wall_s = time.time()
        heard = [at for at in edges if self.names[at] not in self.silent]
        await store.put_heartbeats(tuple(self._heartbeat(at, wall_s) for at in heard))

    def _heartbeat(self, at: int, wall_s: float) -> HeartbeatRecord:
        # An evening in ten minutes.
        load_kbps = 3e6 * float(self._size[at]) * (0.6 + 0.4 * math.sin(wall_s / 95.0 + at / 300.0))
        load_kbps = min(load_kbps, 9.5e6)
        self._traffic[at] += load_kbps * 1000 / 8 * ROUND_S
        self._origin_bytes[at] += load_kbps * 1000 / 8 * ROUND_S * (1.0 - float(self._hit[at]))
        client = int(self._traffic[at])
        minutes = self._sequence_no * ROUND_S
        beat = Heartbeat(
            edge=self.names[at],
            boot_id=f"{at:016x}",
            sequence_no=self._sequence_no,
            sent_wall_s=wall_s,
            uptime_s=float(minutes),
            software="nearcast 0.1.0",
            load=Load(client_kbps=load_kbps, connection_count=int(load_kbps / 4000)),
            storage=Storage(
                capacity_bytes=CAPACITY,
                used_bytes=int(CAPACITY * min(0.98, 0.3 + 0.3 * float(self._size[at]))),
                pinned_bytes=int(CAPACITY * 0.2),
            ),
            traffic=Traffic(
                client_bytes=client,
                resident_bytes=int(client * float(self._hit[at])),
                origin_bytes=int(self._origin_bytes[at]),
                peer_bytes=client // 40,
                prefetch_bytes=client // 20,
                prefetch_used_bytes=client // 26,
                prefetch_waste_bytes=client // 130,
            ),
            qoe=Qoe(
                session_count=minutes // 4,
                startup_s=0.45 * (minutes // 4) * float(self._size[at]),
                startup_count=minutes // 4,
                report_count=minutes * 10,
                stall_count=minutes // 40,
                bitrate_kbps=5200.0 * minutes * 4,
                bitrate_count=minutes * 4,
            ),
        )
        return HeartbeatRecord(
            edge=beat.edge,
            boot_id=beat.boot_id,
            sequence_no=beat.sequence_no,
            received_wall_s=wall_s,
            origin_id="another",
            body=msgspec.json.encode(beat),
        )
