"""Does to a simulated network what its faults say, and undoes it when they are over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulation.edge_node import EdgeNode
from simulation.faults import EVERYWHERE, ORIGIN_FAULTS, FaultSpec
from simulation.origin_node import OriginNode
from simulation.scheduler import Scheduler


class Injector:
    """Schedules faults. `active` tells which hold now."""

    def __init__(
        self,
        faults: Sequence[FaultSpec],
        *,
        origin: OriginNode,
        edges: Mapping[str, EdgeNode],
        scheduler: Scheduler,
        generator: np.random.Generator,
    ) -> None:
        self.active: list[FaultSpec] = []
        self._origin = origin
        self._edges = edges
        self._scheduler = scheduler
        self._generator = generator
        self._begin: dict[str, Callable[[EdgeNode, FaultSpec], None]] = {
            "link": lambda edge, fault: edge.cut_backhaul(True),
            "disk_full": lambda edge, fault: edge.disk.fill_up(True),
            "bit_rot": lambda edge, fault: edge.disk.rot(fault.count, self._generator),
            "kill": lambda edge, fault: edge.kill(),
            "clock": lambda edge, fault: edge.kill(),
            "model": lambda edge, fault: edge.break_model(True),
        }
        self._end: dict[str, Callable[[EdgeNode, FaultSpec], None]] = {
            "link": lambda edge, fault: edge.cut_backhaul(False),
            "disk_full": lambda edge, fault: edge.disk.fill_up(False),
            "bit_rot": lambda edge, fault: None,
            "kill": lambda edge, fault: edge.restart(),
            "clock": lambda edge, fault: edge.restart(fault.step_s),
            "model": lambda edge, fault: edge.break_model(False),
        }
        for fault in faults:
            scheduler.at(fault.at_s, lambda fault=fault: self.begin(fault))  # type: ignore[misc]

    def begin(self, fault: FaultSpec) -> None:
        """Now; it ends by itself when its time is over, if nobody ends it before."""
        self.active.append(fault)
        if fault.kind in ORIGIN_FAULTS:
            self._origin.faults.append(fault)
            self._update_refusal()
        else:
            for edge in self._edges_of(fault):
                if self._first_of_its_kind(fault, edge):
                    self._begin[fault.kind](edge, fault)
        self._scheduler.after(fault.lasts_s, lambda: self.end(fault))

    def end(self, fault: FaultSpec) -> None:
        if fault not in self.active:
            return
        self.active.remove(fault)
        if fault.kind in ORIGIN_FAULTS:
            self._origin.faults.remove(fault)
            self._update_refusal()
            return
        for edge in self._edges_of(fault):
            if not self._holds_for(fault.kind, edge):
                self._end[fault.kind](edge, fault)

    def _update_refusal(self) -> None:
        is_down = any(fault.kind == "down" and fault.share >= 1.0 for fault in self.active)
        for edge in self._edges.values():
            edge.refuse_upstream(is_down)

    def _edges_of(self, fault: FaultSpec) -> list[EdgeNode]:
        return [edge for name, edge in self._edges.items() if fault.edge in (EVERYWHERE, name)]

    def _first_of_its_kind(self, fault: FaultSpec, edge: EdgeNode) -> bool:
        """Faults of one kind that overlap are one; a process is killed but once, too."""
        same = [other for other in self.active if _effect(other.kind) == _effect(fault.kind)]
        return sum(edge in self._edges_of(other) for other in same) == 1

    def _holds_for(self, kind: str, edge: EdgeNode) -> bool:
        return any(
            _effect(other.kind) == _effect(kind) and edge in self._edges_of(other)
            for other in self.active
        )


def _effect(kind: str) -> str:
    return "kill" if kind == "clock" else kind
