"""Who watches over more than one title, as far as requests tell.

A viewer is known by a pseudonym of its address and its User-Agent, made with a key that lives in
memory only; nothing of it is recorded or leaves the node. Several viewers may share both (a home, a
hotel, a proxy), and CMCD names a new session per title, so a new session is given to

    1. the viewer of that pseudonym whose last title this one follows, if any is far enough into it
    2. else one of that pseudonym who is not watching anything
    3. else a new viewer

which is right for one viewer behind an address, and for several as long as they watch through
series. What a wrong guess costs is a slightly wrong history.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

import msgspec

from cache.http.headers import Headers, get_one
from predictor.features import (
    CONTINUE_WITHIN_S,
    FINISHED_PROGRESS,
    SERIES_PRIOR_WEIGHT,
    smoothed_rate,
)

SITTING_GAP_S: Final = 30 * 60.0
"""A longer pause ends a sitting."""

SERIES_MAX: Final = 30
"""Series remembered per viewer."""

PEER_VIEWERS_MAX: Final = 256
"""Viewers told apart behind one pseudonym."""

FOLLOWS_FROM: Final = 0.5
"""Share of a title after which its successor may be the same viewer's next one."""

_TV = (
    "smart-tv",
    "smarttv",
    "tizen",
    "web0s",
    "webos",
    "appletv",
    "apple tv",
    "googletv",
    "android tv",
    "bravia",
    "roku",
    "hbbtv",
    "aftt",
    "crkey",
    "tvos",
)
_MOBILE = ("mobile", "iphone", "ipad", "android")


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of a track a viewer is on."""

    representation_id: str
    rate_kbps: float


class Viewer:
    """One viewer's past, in memory."""

    def __init__(self) -> None:
        self.active_count = 0
        """Sessions that are open."""
        self.last_title_url: str | None = None
        self.last_series: str | None = None
        self.last_share = 0.0
        self.last_rung: Rung | None = None
        """Of the picture, on the last title."""
        self.last_start: Rung | None = None
        """What the last successor began with."""
        self.last_end_s: float | None = None
        self.run_length = 0
        self.plays_before = 0
        self.sitting_start_s = 0.0
        self.previous_gap_s: float | None = None
        self._finished_count = 0
        self._continued_count = 0
        self._series: OrderedDict[str, tuple[int, int]] = OrderedDict()  # finished, continued

    def begin(self, title_url: str, series: str | None, *, is_next: bool, at_s: float) -> None:
        """The viewer starts a title; `is_next`: it follows the last one."""
        gap_s = None if self.last_end_s is None else max(at_s - self.last_end_s, 0.0)
        self._count_finished(is_continued=is_next and (gap_s or 0.0) <= CONTINUE_WITHIN_S)
        self.previous_gap_s = gap_s
        if gap_s is None or gap_s > SITTING_GAP_S:
            self.sitting_start_s = at_s
            self.plays_before = 0
            self.run_length = 1
        else:
            self.plays_before += 1
            self.run_length = self.run_length + 1 if is_next else 1
        self.last_title_url, self.last_series, self.last_share = title_url, series, 0.0
        self.active_count += 1

    def seen(self, title_url: str, share: float, at_s: float) -> None:
        """How far the viewer has got, and when."""
        if title_url == self.last_title_url:
            self.last_share = max(self.last_share, share)
            self.last_end_s = max(at_s, self.last_end_s or at_s)

    def end(self) -> None:
        """A session of this viewer is over."""
        self.active_count -= 1

    def _count_finished(self, *, is_continued: bool) -> None:
        if self.last_share < FINISHED_PROGRESS or self.last_series is None:
            return
        self._finished_count += 1
        self._continued_count += is_continued
        finished, continued = self._series.pop(self.last_series, (0, 0))
        self._series[self.last_series] = (finished + 1, continued + is_continued)
        if len(self._series) > SERIES_MAX:
            self._series.popitem(last=False)

    def rate(self) -> float:
        """How often this viewer went on within half an hour of a finished episode, smoothed."""
        return smoothed_rate(self._continued_count, self._finished_count)

    def series_rate(self, series: str) -> float:
        finished, continued = self._series.get(series, (0, 0))
        return smoothed_rate(
            continued, finished, prior=self.rate(), prior_weight=SERIES_PRIOR_WEIGHT
        )


class Viewers:
    """Viewers by pseudonym; those seen longest ago are forgotten first."""

    def __init__(self, count_max: int, key: bytes) -> None:
        self._count_max = count_max
        self._key = key
        self._by_peer: OrderedDict[str, list[Viewer]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def pseudonym(self, client: str, user_agent: str) -> str:
        text = f"{client}\n{user_agent}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=12, key=self._key).hexdigest()

    def choose(self, peer: str, predecessor_url: str | None) -> Viewer:
        """Whose new session this is; `predecessor_url` is the title that the new one follows."""
        viewers = self._by_peer.setdefault(peer, [])
        self._by_peer.move_to_end(peer)
        following = [
            viewer
            for viewer in viewers
            if predecessor_url is not None
            and viewer.last_title_url == predecessor_url
            and viewer.last_share >= FOLLOWS_FROM
        ]
        idle = [viewer for viewer in viewers if viewer.active_count == 0]
        # The one that is furthest along is about to start the next, the others are still watching.
        if following:
            return max(following, key=lambda viewer: (viewer.last_share, -(viewer.last_end_s or 0)))
        if idle:
            return max(idle, key=lambda viewer: viewer.last_end_s or 0.0)
        return self._new(viewers)

    def _new(self, viewers: list[Viewer]) -> Viewer:
        if len(viewers) >= PEER_VIEWERS_MAX:
            viewers.pop(0)
            self._count -= 1
        viewer = Viewer()
        viewers.append(viewer)
        self._count += 1
        while self._count > self._count_max and len(self._by_peer) > 1:
            _, forgotten = self._by_peer.popitem(last=False)
            self._count -= len(forgotten)
        return viewer


def device(headers: Headers) -> tuple[bool, bool]:
    """(is a television, is a phone or tablet), by User-Agent."""
    agent = (get_one(headers, "user-agent") or "").lower()
    is_tv = any(word in agent for word in _TV)
    return is_tv, not is_tv and any(word in agent for word in _MOBILE)
