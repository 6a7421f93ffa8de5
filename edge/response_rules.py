"""What holds for the responses of each service that do not say all themselves: how long they are
fresh, what of the request they depend on, which of their fields clients get."""

from __future__ import annotations

import msgspec

from cache.http.conditional import updated
from cache.http.freshness import StorageRules, dated
from cache.http.headers import Headers
from edge.config import HttpConfig
from edge.effects import StoredObject
from edge.hot import HotEntry
from edge.services import Service, Services


class ResponseRules:
    """The rules of HTTP caching, as the settings and a URL's service have them."""

    def __init__(self, config: HttpConfig, services: Services) -> None:
        self._services = services
        self._common = _common(config)
        self._of_service: dict[Service, StorageRules] = {}

    def reconfigure(self, config: HttpConfig) -> None:
        """Judge by these settings from now on; the services have theirs already."""
        self._common = _common(config)
        self._of_service.clear()

    def of_url(self, url: str) -> StorageRules:
        service = self._services.of_url(url)
        if service is None:
            return self._common
        rules = self._of_service.get(service)
        if rules is None:
            rules = self._of_service[service] = msgspec.structs.replace(
                self._common,
                default_freshness_s=service.default_freshness_s,
                negative_ttl_s=service.negative_ttl_s,
            )
        return rules

    def counted(self, url: str, sent: Headers, answer: Headers) -> Headers:
        """An answer's fields, as they are stored: Vary names what of the request counts."""
        service = self._services.of_url(url)
        return service.forwarding.counted(sent, answer) if service is not None else answer

    def renewed(
        self, old: StoredObject, fresh: Headers, requested_wall_s: float, wall_s: float
    ) -> StoredObject:
        """The object, with the fields and times that an answer confirmed."""
        headers = updated(
            old.headers, dated(fresh, wall_s), with_cookies=self._common.stores_set_cookie
        )
        service = self._services.of_url(old.url)
        if service is not None:
            headers = service.forwarding.still_counted(old.headers, headers)
        return msgspec.structs.replace(
            old,
            headers=headers,
            requested_wall_s=requested_wall_s,
            received_wall_s=wall_s,
            stale_from_wall_s=None,
        )

    def entry(self, stored: StoredObject) -> HotEntry:
        """The object, ready to be judged and served by the rules of this moment."""
        service = self._services.of_url(stored.url)
        return HotEntry.of(
            stored,
            self.of_url(stored.url),
            visible=service.forwarding.visible if service is not None else None,
        )


def _common(http: HttpConfig) -> StorageRules:
    return StorageRules(
        default_freshness_s=http.default_freshness_s,
        negative_ttl_s=http.negative_ttl_s,
        heuristic_fraction=http.heuristic_fraction,
        heuristic_s_max=http.heuristic_s_max,
        stores_set_cookie=http.store_set_cookie,
        stores_any_status=http.store_any_status,
    )
