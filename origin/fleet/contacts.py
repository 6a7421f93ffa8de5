"""Whom this origin heard lately: how it knows whether it is itself cut off."""

from __future__ import annotations

from collections import OrderedDict


class Contacts:
    """When each edge was heard last. Every call is O(1), spread over calls."""

    def __init__(self) -> None:
        self._heard: OrderedDict[str, float] = OrderedDict()  # the longest ago first
        self._silent: set[str] = set()

    def __len__(self) -> int:
        """How many were heard and are neither dead nor gone."""
        return len(self._heard) + len(self._silent)

    def heard(self, edge: str, now_s: float) -> None:
        self._heard[edge] = now_s
        self._heard.move_to_end(edge)
        self._silent.discard(edge)

    def forget(self, edge: str) -> None:
        """It is dead or gone: its silence says nothing of ours."""
        self._heard.pop(edge, None)
        self._silent.discard(edge)

    def others_heard(self, edge: str, since_s: float) -> bool:
        """Whether somebody but `edge` was heard since then."""
        for other in reversed(self._heard):
            if other != edge:
                return self._heard[other] >= since_s
        return False

    def silent_share(self, now_s: float, silence_s: float) -> float:
        """How many of those once heard, and neither dead nor gone, were not heard for that long."""
        while self._heard:
            edge, heard_s = next(iter(self._heard.items()))
            if now_s - heard_s <= silence_s:
                break
            del self._heard[edge]
            self._silent.add(edge)
        return len(self._silent) / max(1, len(self))
