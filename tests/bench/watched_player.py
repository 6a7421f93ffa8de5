"""What a stock player does in its page, and what is told of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request

from tests.bench.player_pages import Player

STALL_S_MIN: Final = 0.15
"""Shorter ones are the sampling's."""


class WatchedPlayer:
    """One player in its page: what it asked of whom and when, and what its video did."""

    def __init__(self, player: Player, page: Page, hosts: dict[str, str]) -> None:
        self.player = player
        self.page = page
        self._hosts = hosts
        self.asked: list[tuple[float, str, str, str]] = []  # when, of whom, path, how it went
        self.said: list[str] = []
        page.on("console", lambda told: self.said.append(f"{told.type}: {told.text}"[:300]))
        page.on("pageerror", lambda error: self.said.append(f"threw: {error}"[:300]))
        page.on("requestfinished", lambda request: self._note(request, "done"))
        page.on("requestfailed", lambda request: self._note(request, request.failure or "failed"))

    def _note(self, request: Request, end: str) -> None:
        place = urlsplit(request.url)
        name = self._hosts.get(place.netloc)
        if name is None:
            return
        if end == "done":
            response = request.response()
            end = str(response.status) if response is not None else "?"
        path = place.path + (f"?{place.query}" if place.query else "")
        self.asked.append((time.time(), name, path, end))

    def samples(self) -> list[list[float]]:
        found = self.page.evaluate("samples")
        assert isinstance(found, list)
        return found

    def at_s(self) -> float:
        return float(self.page.evaluate("samples.length ? samples[samples.length - 1][1] : 0"))

    def is_over(self) -> bool:
        return bool(self.page.evaluate("samples.some(one => one[3])"))

    def report(self, trouble_wall_s: float) -> dict[str, Any]:
        samples = self.samples()
        stalls = stalls_of(samples)
        media = [one for one in self.asked if one[2].endswith((".m4s", ".mp4"))]
        steering = [one for one in self.asked if one[2].startswith("/v1/steering/")]
        before = Counter(name for at, name, _, end in media if at < trouble_wall_s and end < "4")
        after = Counter(name for at, name, _, end in media if at >= trouble_wall_s and end < "4")
        ahead = [one[2] for one in samples if one[0] < trouble_wall_s]
        return {
            "player": self.player.name,
            "format": self.player.format,
            "is_over": bool(samples and samples[-1][3]),
            "played_to_s": round(samples[-1][1], 1) if samples else 0.0,
            "stall_count": len(stalls),
            "stalled_s": round(sum(long_s for _, long_s in stalls), 2),
            "stalls": [(round(at - trouble_wall_s, 1), round(long_s, 2)) for at, long_s in stalls],
            "buffer_s": round(ahead[-1], 1) if ahead else 0.0,
            "segments_before": dict(before),
            "segments_after": dict(after),
            "failed": [
                (round(at - trouble_wall_s, 1), name, path[-60:], end)
                for at, name, path, end in self.asked
                if not end < "4"
            ],
            "steering": [
                (round(at - trouble_wall_s, 1), path[-160:], end) for at, _, path, end in steering
            ],
            "said": [*self.said, *self.page.evaluate("told")],
        }


def stalls_of(samples: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """When the video stood still (after its start, before its end), and for how long."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    last: Sequence[float] | None = None
    for one in samples:
        if last is not None and last[1] > 0:
            if one[1] <= last[1] and not one[3]:
                since = last[0] if since is None else since
            elif since is not None:
                if last[0] - since >= STALL_S_MIN:
                    found.append((since, last[0] - since))
                since = None
        last = one
    if since is not None and last is not None and not last[3]:
        found.append((since, last[0] - since))
    return found


def row(one: dict[str, Any]) -> str:
    taken = "; ".join(
        ", ".join(f"{name} {count}" for name, count in one[when].items()) or "none"
        for when in ("segments_before", "segments_after")
    )
    return (
        f"| {one['player']} | {one['format']} | {one['scenario']} | {one['stalled_s']} s in"
        f" {one['stall_count']} | {'yes' if one['is_over'] else 'no, to'} {one['played_to_s']} |"
        f" {one['buffer_s']} | {one['victim']}: {taken} | {len(one['failed'])} |"
    )
