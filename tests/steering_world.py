"""A fleet whose edges are alive, and clients that ask its steering server."""

from __future__ import annotations

import google_crc32c
import numpy as np

from nearcast.fleet import Heartbeat, Load, Storage
from nearcast.steering import SteeringManifest, decode
from origin.fleet import ConnectionLost, EdgeChanged, Fleet, ProbeAnswered
from origin.records import EdgeRecord
from origin.steering import Steering
from tests.simulated_fleet import WALL_S, record_of

CLIENT = "192.0.2.7"


class Players:
    """A fleet whose edges are alive, and the steering server before it."""

    def __init__(self, *records: EdgeRecord, site_url: str = "") -> None:
        self.fleet = Fleet()
        self.steering = Steering(self.fleet, site_url=site_url)
        self.number = 0
        self.now_s = 100.0
        for record in records:
            self.fleet.handle(EdgeChanged(record=record), self.now_s)
            self.beat(record.edge)
        self.now_s += 60.0

    @property
    def wall_s(self) -> float:
        return WALL_S + self.now_s

    def beat(
        self,
        edge: str,
        *,
        load: float = 0.0,
        titles: tuple[str, ...] = (),
        is_failing: bool = False,
        is_draining: bool = False,
    ) -> None:
        self.number += 1
        crcs = sorted(google_crc32c.value(title.encode()) for title in titles)
        known = self.fleet.edge(edge)
        assert known is not None
        answer = self.fleet.heartbeat(
            Heartbeat(
                edge=edge,
                boot_id="0" * 16,
                sequence_no=self.number,
                sent_wall_s=self.wall_s,
                storage=Storage(capacity_bytes=1, is_failing=is_failing),
                load=Load(client_kbps=load * known.record.profile.link_kbps),
                is_draining=is_draining,
                held=np.array(crcs, dtype="<u4").tobytes(),
            ),
            certificate_edge=edge,
            received_wall_s=self.wall_s,
            now_s=self.now_s,
        )
        assert not hasattr(answer, "error")

    def kill(self, edge: str) -> None:
        self.fleet.handle(ProbeAnswered(edge=edge, outcome="ok", rtt_s=0.01), self.now_s)
        self.fleet.handle(ConnectionLost(edge=edge), self.now_s)
        self.fleet.handle(ProbeAnswered(edge=edge, outcome="refused"), self.now_s)
        known = self.fleet.edge(edge)
        assert known is not None
        assert known.state == "dead"

    def ask(self, title: str = "t", query: str = "", client: str = CLIENT) -> SteeringManifest:
        answer = self.steering.answer(client, title, query, wall_s=self.wall_s, now_s=self.now_s)
        return decode(answer)

    def first(self, title: str = "t", query: str = "", client: str = CLIENT) -> str:
        return self.ask(title, query, client).pathways[0]


def many(count: int, **profile: object) -> tuple[EdgeRecord, ...]:
    return tuple(record_of(f"e{index}", **profile) for index in range(count))  # type: ignore[arg-type]
