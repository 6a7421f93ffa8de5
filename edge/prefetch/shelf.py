"""Whether an object still has to be fetched: it may be here, on its way, or not to be had."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from cache.http.headers import Headers
from edge.config import PrefetchConfig
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.residents import Residents
from edge.texts import Texts

FAILED_MAX: Final = 10_000
"""Failed URLs remembered; one pushed out early is tried again early."""


class Shelf:
    """What is held, as prefetching sees it."""

    def __init__(
        self,
        config: PrefetchConfig,
        *,
        epoch_s: float,
        media_map: MediaMap,
        texts: Texts,
        residents: Residents,
        open_fills: OpenFills,
    ) -> None:
        self._config = config
        self._epoch_s = epoch_s
        self._map = media_map
        self._texts = texts
        self._residents = residents
        self._open = open_fills
        self._failed: OrderedDict[str, float] = OrderedDict()  # URL -> left alone until

    def is_settled(self, url: str, headers: Headers, now_s: float) -> bool:
        """Whether nothing need be fetched: it is here, on its way, or not to be had. What is here
        and not yet used is kept longer, since somebody else is expected to want it."""
        if not self._map.is_inside(url) or self._open.of_url(url) or self._texts.is_coming(url):
            return True
        if self._failed.get(url, now_s) > now_s:
            return True
        entry = self._residents.match(url, headers)
        if entry is None:
            return False
        wall_s = self._epoch_s + now_s
        is_fresh = entry.freshness.fresh_until_wall_s > wall_s
        # What is stale at once, by its origin's word, is worth holding for its validator.
        is_recent = entry.stored.received_wall_s + self._config.retry_s > wall_s
        if not (is_fresh or is_recent):
            return False
        self._residents.extend(entry.stored.object_id, self.until_s(now_s))
        if self._texts.want(url, headers):
            # A manifest that is here but not on the map: once read it is, or it never will be.
            self.leave_alone(url, now_s)
        return True

    def is_coming(self, url: str) -> bool:
        return bool(self._open.of_url(url)) or self._texts.is_coming(url)

    def has_room(self, url: str, size_bytes: int, now_s: float) -> bool:
        """Within what prefetched objects may take of the store, or for it in place of less likely
        ones."""
        return self._residents.has_prefetch_room(url, size_bytes, now_s)

    def until_s(self, now_s: float) -> float:
        """How long what is fetched ahead now is kept at most."""
        return now_s + self._residents.prefetch_lifetime_s

    def leave_alone(self, url: str, now_s: float) -> None:
        """It could not be had: not again for a while."""
        self._failed.pop(url, None)
        self._failed[url] = now_s + self._config.retry_s
        if len(self._failed) > FAILED_MAX:
            self._failed.popitem(last=False)

    def alone_until_s(self, url: str) -> float | None:
        """Until when it is left alone, if it is."""
        return self._failed.get(url)
