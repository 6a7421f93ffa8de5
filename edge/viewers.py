"""Who watches over more than one title, as far as requests tell.

A viewer is known by a pseudonym of its address and its User-Agent, made with a key that lives in
memory only (or in a file, where the operator wants names to outlive the node); nothing of it is
recorded or leaves the node. The first half of a pseudonym is that of the address alone, so that
all of an address can be forgotten. What was watched longer ago than `history_s` is forgotten too.
Several viewers may share both (a home, a
hotel, a proxy), and CMCD names a new session per title, so a new session is given to

    1. the viewer of that pseudonym whose last title this one follows, if any is far enough into it
    2. else one of that pseudonym whose title is nearly over
    3. else one who is not watching anything
    4. else a new viewer

which is right for one viewer behind an address, and for several as long as they watch through
series. What a wrong guess costs is a slightly wrong history.
"""

from __future__ import annotations

import hashlib
import math
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

ADDRESSES_MAX: Final = 4096
"""Addresses whose digests are at hand; none for longer than SWEEP_S."""

HALF_BYTES: Final = 12
"""Of a pseudonym: the address, and the User-Agent with it."""

SWEEP_S: Final = 3600.0
"""How often it is looked for what is too old."""

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


class _Past:
    """Finished episodes, and how many were followed at once, over a stretch of time."""

    __slots__ = ("continued_count", "finished_count", "series")

    def __init__(self) -> None:
        self.finished_count = 0
        self.continued_count = 0
        self.series: OrderedDict[str, tuple[int, int]] = OrderedDict()  # finished, continued


class Viewer:
    """One viewer's past, in memory: all of what is younger than half of `history_s`, nothing of
    what is older than the whole."""

    def __init__(self, history_s: float = math.inf) -> None:
        self._half_s = history_s / 2.0
        self._past = _Past()
        self._earlier = _Past()
        self._since_s: float | None = None
        self.no = 0
        """Tells it apart from others of its time, and says nothing else; given by Viewers, and 0
        once it is let go of."""
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

    def begin(self, title_url: str, series: str | None, *, is_next: bool, at_s: float) -> None:
        """The viewer starts a title; `is_next`: it follows the last one."""
        gap_s = None if self.last_end_s is None else max(at_s - self.last_end_s, 0.0)
        self._age(at_s)
        if gap_s is None or gap_s <= 2.0 * self._half_s:
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
        past = self._past
        past.finished_count += 1
        past.continued_count += is_continued
        finished, continued = past.series.pop(self.last_series, (0, 0))
        past.series[self.last_series] = (finished + 1, continued + is_continued)
        if len(past.series) > SERIES_MAX:
            past.series.popitem(last=False)

    def _age(self, now_s: float) -> None:
        """Two stretches are kept, each of half the time; the older one goes as a whole."""
        if self._since_s is None:
            self._since_s = now_s
        stretches = (now_s - self._since_s) // self._half_s
        if stretches >= 1.0:
            self._earlier = self._past if stretches < 2.0 else _Past()
            self._past = _Past()
            self._since_s += stretches * self._half_s

    def rate(self) -> float:
        """How often this viewer went on within half an hour of a finished episode, smoothed."""
        return smoothed_rate(
            self._past.continued_count + self._earlier.continued_count,
            self._past.finished_count + self._earlier.finished_count,
        )

    def series_rate(self, series: str) -> float:
        finished, continued = self._past.series.get(series, (0, 0))
        finished_before, continued_before = self._earlier.series.get(series, (0, 0))
        return smoothed_rate(
            continued + continued_before,
            finished + finished_before,
            prior=self.rate(),
            prior_weight=SERIES_PRIOR_WEIGHT,
        )


class Viewers:
    """Viewers by pseudonym; those seen longest ago are forgotten first."""

    def __init__(self, count_max: int, key: bytes, *, history_s: float = math.inf) -> None:
        self._count_max = count_max
        self._key = key
        self._history_s = history_s
        self._sweep_every_s = min(SWEEP_S, history_s)
        self._sweep_s: float | None = None
        self._addresses: dict[str, bytes] = {}
        self._by_peer: OrderedDict[str, list[Viewer]] = OrderedDict()
        self._count = 0
        self._last_no = 0
        self._gone: list[int] = []

    def __len__(self) -> int:
        return self._count

    def pseudonym(self, client: str, user_agent: str) -> str:
        address = self._addresses.get(client)
        if address is None:  # asked for with every request, and most come from few addresses
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
            address = self._addresses[client] = self._digest(client)
        return (address + self._digest(f"{client}\n{user_agent}")).hex()

    def _digest(self, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=HALF_BYTES, key=self._key).digest()

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
        finishing = [
            viewer
            for viewer in viewers
            if viewer.active_count > 0 and viewer.last_share >= FINISHED_PROGRESS
        ]
        idle = [viewer for viewer in viewers if viewer.active_count == 0]
        # The one that is furthest along is about to start the next, the others are still watching.
        if following:
            return max(following, key=lambda viewer: (viewer.last_share, -(viewer.last_end_s or 0)))
        if finishing:
            return max(finishing, key=lambda viewer: viewer.last_end_s or 0.0)
        if idle:
            return max(idle, key=lambda viewer: viewer.last_end_s or 0.0)
        return self._new(viewers)

    def only(self, peer: str) -> Viewer | None:
        """Whoever is known by this pseudonym, if that is one viewer."""
        viewers = self._by_peer.get(peer, ())
        return viewers[0] if len(viewers) == 1 else None

    def _new(self, viewers: list[Viewer]) -> Viewer:
        if len(viewers) >= PEER_VIEWERS_MAX:
            self._let_go(viewers.pop(0))
            self._count -= 1
        viewer = Viewer(self._history_s)
        self._last_no += 1
        viewer.no = self._last_no
        viewers.append(viewer)
        self._count += 1
        while self._count > self._count_max and len(self._by_peer) > 1:
            _, forgotten = self._by_peer.popitem(last=False)
            self._count -= len(forgotten)
            for one in forgotten:
                self._let_go(one)
        return viewer

    def _let_go(self, viewer: Viewer) -> None:
        self._gone.append(viewer.no)
        viewer.no = 0

    def take_gone(self) -> list[int]:
        """The numbers of those who were let go of since this was last asked."""
        gone, self._gone = self._gone, []
        return gone

    def forget(self, client: str, user_agent: str | None) -> tuple[Viewer, ...]:
        """Drop all viewers of an address, or those of one User-Agent there. Who they were."""
        if user_agent is not None:
            wanted = self.pseudonym(client, user_agent)
        else:
            wanted = self._digest(client).hex()
        self._addresses.pop(client, None)
        peers = [peer for peer in self._by_peer if peer.startswith(wanted)]
        forgotten = tuple(viewer for peer in peers for viewer in self._by_peer.pop(peer))
        self._count -= len(forgotten)
        for viewer in forgotten:
            self._let_go(viewer)
        return forgotten

    def advance(self, now_s: float) -> None:
        """Let go who has not watched for `history_s`."""
        if self._sweep_s is not None and now_s < self._sweep_s:
            return
        is_first = self._sweep_s is None
        self._sweep_s = now_s + self._sweep_every_s
        if is_first:
            return
        self._addresses.clear()
        for peer, viewers in tuple(self._by_peer.items()):
            staying = [one for one in viewers if self._is_recent(one, now_s)]
            self._count -= len(viewers) - len(staying)
            for one in viewers:
                if one not in staying:
                    self._let_go(one)
            if staying:
                self._by_peer[peer] = staying
            else:
                del self._by_peer[peer]

    def deadline_s(self) -> float | None:
        """When somebody may have to be let go."""
        return self._sweep_s if self._by_peer else None

    def _is_recent(self, viewer: Viewer, now_s: float) -> bool:
        last_s = viewer.last_end_s if viewer.last_end_s is not None else viewer.sitting_start_s
        return viewer.active_count > 0 or now_s - last_s <= self._history_s


def device(headers: Headers) -> tuple[bool, bool]:
    """(is a television, is a phone or tablet), by User-Agent."""
    agent = (get_one(headers, "user-agent") or "").lower()
    is_tv = any(word in agent for word in _TV)
    return is_tv, not is_tv and any(word in agent for word in _MOBILE)
