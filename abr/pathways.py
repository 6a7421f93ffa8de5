"""By which pathways a title came, for its report and for what a steering server is told."""

from __future__ import annotations

from urllib.parse import urlsplit

from abr.report import PathwaySwitch, PathwayUse
from abr.transfer import Transfer
from nearcast.steering import MEASURED_MAX, Measured

PATHWAY_COUNT_MAX = 64
"""So many are told apart."""
SWITCHES_MAX = 100
"""So many are listed; all are counted."""


class PathwayLog:
    """Fed with segments as they come."""

    def __init__(self, begun_s: float) -> None:
        self._begun_s = begun_s
        self._uses: dict[str, tuple[str, int, int]] = {}
        """By pathway: host, segments, bytes."""
        self._current = ""
        self._wanted = ""
        """First in the order when the last segment was asked for."""
        self._measured: dict[str, float | None] = {}
        """Since the server was last asked; the newest is the last."""
        self.switch_count = 0
        self._switches: list[PathwaySwitch] = []

    def served(
        self, transfer: Transfer, throughput_kbps: float | None, now_s: float, *, is_main: bool
    ) -> None:
        """A segment came. Other tracks than the one that adapts switch a little sooner or later,
        and are not told."""
        pathway, wanted = transfer.pathway, transfer.wanted_pathway
        if not pathway:
            return
        if pathway in self._uses or len(self._uses) < PATHWAY_COUNT_MAX:
            _, count, total_bytes = self._uses.get(pathway, ("", 0, 0))
            host = urlsplit(transfer.sent_url).netloc
            self._uses[pathway] = (host, count + 1, total_bytes + transfer.received_bytes)
        if not is_main:
            return
        self._measured.pop(pathway, None)
        self._measured[pathway] = throughput_kbps
        while len(self._measured) > MEASURED_MAX:
            self._measured.pop(next(iter(self._measured)))
        if self._current and pathway != self._current:
            self._switched(pathway, wanted, now_s)
        self._current, self._wanted = pathway, wanted

    def _switched(self, pathway: str, wanted: str, now_s: float) -> None:
        self.switch_count += 1
        if len(self._switches) == SWITCHES_MAX:
            return
        is_wanted = pathway == wanted
        self._switches.append(
            PathwaySwitch(
                at_s=now_s - self._begun_s,
                from_pathway=self._current,
                to_pathway=pathway,
                reason="failure"
                if not is_wanted
                else "recovery"
                if wanted == self._wanted
                else "steering",
            )
        )

    def take_measured(self) -> tuple[Measured, ...]:
        """What was used since this was last asked, the pathway in use last."""
        taken = tuple(
            Measured(pathway=pathway, throughput_kbps=kbps)
            for pathway, kbps in self._measured.items()
        )
        self._measured = dict([*self._measured.items()][-1:])
        return taken

    def uses(self) -> tuple[PathwayUse, ...]:
        return tuple(
            PathwayUse(pathway=pathway, host=host, segment_count=count, received_bytes=total_bytes)
            for pathway, (host, count, total_bytes) in self._uses.items()
        )

    def switches(self) -> tuple[PathwaySwitch, ...]:
        return tuple(self._switches)
