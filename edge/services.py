"""The services of a node: which one a request belongs to, and what its objects are called.

    request --(host, path)--> service --(key rules)--> URL: the object's key, where it is fetched
    URL ----(its beginning)--> service: from a manifest, a catalogue, the store

A service is chosen by host first (its own name, then the longest `*.` pattern, then any), then by
the longest path prefix; prefixes end where a segment of the path does. The URLs of no two
services overlap, so that a URL alone says whose it is: nothing stored under one service's rules
is ever served under another's, and what belongs to none is neither fetched nor served.

`Services` is one object for the life of a node. A new configuration changes what it answers, in
one step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from edge.config import EdgeConfig, HttpConfig, ServiceConfig
from edge.forwarding import Forwarding
from edge.keys import target_key
from edge.targets import Destination, UpstreamTarget
from nearcast.cmcd import strip_query
from nearcast.errors import ConfigError
from nearcast.messages import CATALOG_PATH

HOSTS_REMEMBERED_MAX: Final = 4096
"""Spellings of hosts whose services are known without looking; clients choose them."""

_AUTHORITY_END: Final = re.compile(r"[/?#]")


class Service:
    """One of the services, ready to be asked. Never changes."""

    def __init__(self, config: ServiceConfig, http: HttpConfig) -> None:
        self.name = config.name
        self.config = config
        self.forwarding = Forwarding(config)
        self.hosts = config.hosts
        self.path = config.path
        self.target = UpstreamTarget.of(config.base(), config)
        self.default_freshness_s = _first(config.default_freshness_s, http.default_freshness_s)
        self.stale_if_error_s = _first(config.stale_if_error_s, http.stale_if_error_s)
        self.negative_ttl_s = _first(config.negative_ttl_s, http.negative_ttl_s)
        self._base = config.base()
        self._prefix = self.target.prefix
        self._key = target_key(config.key)
        self._keeps_hosts_apart = config.key.host

    def url(self, host: str, target: str) -> str:
        """The key of a request's target. `host` as `host_name` gives it."""
        return self._start(host) + self._key(target)

    def whole_url(self, host: str, target: str) -> str:
        """Where the target is fetched for one client alone: with all that it says but CMCD."""
        return self._start(host) + strip_query(target)

    def key_of_url(self, url: str) -> str:
        """The key of one of the service's own URLs."""
        start = len(self._start(_authority(url)))
        return url[:start] + self._key(url[start:])

    def key_prefix(self, host: str, path: str) -> str:
        """What the keys begin with of all that clients ask for under this path."""
        return self._start(host) + path

    def destination(self, url: str) -> Destination:
        """Where one of the service's URLs is fetched."""
        authority = _authority(url)
        rest = url[len(self._start(authority)) :]
        host = authority if self._keeps_hosts_apart else self.target.authority
        return Destination(self.target, self._prefix + (rest or "/"), host)

    def target_of(self, url: str) -> str:
        """What clients ask for, of one of the service's own URLs."""
        return url[len(self._start(_authority(url))) :]

    def claim(self, url: str) -> tuple[int, int] | None:
        """How closely a URL fits the service, in the order that requests are matched; None when
        it does not begin like the service's."""
        rank: int | None = 0
        host = ""
        if self._keeps_hosts_apart:
            host = _authority(url)
            rank = _rank(self.hosts, host)
        start = self._start(host)
        if rank is None or not url.startswith(start):
            return None
        return (rank, len(self.path)) if _is_under(self.path, url[len(start) :]) else None

    def _start(self, host: str) -> str:
        if self._keeps_hosts_apart:
            return f"{self.target.scheme}://{host}{self._prefix}"
        return self._base

    def overlaps(self, other: Service) -> bool:
        """Whether one URL could belong to both, and asking for it would not say to which."""
        if self._keeps_hosts_apart or other._keeps_hosts_apart:
            if not _meet(self._authorities(), other._authorities()):
                return False
            mine, theirs = self._prefix, other._prefix
            # A URL then names the host that was asked for, and that says which one was meant.
            is_decided = self._keeps_hosts_apart and other._keeps_hosts_apart
        else:
            mine, theirs = self._base, other._base
            is_decided = sorted(self.hosts) == sorted(other.hosts)
        if mine == theirs and is_decided:
            return False
        a, b = mine + self.path, theirs + other.path
        return _is_under(a, b) or _is_under(b, a)

    def _authorities(self) -> tuple[str, ...]:
        return self.hosts if self._keeps_hosts_apart else (self.target.authority,)


class Services:
    """Finds the service of a request, and of a URL. Raises ConfigError for services that could
    be mistaken for each other."""

    def __init__(self, config: EdgeConfig) -> None:
        self.revision = 0
        """Changes with the configuration: what was remembered of the answers is void then."""
        self.all: tuple[Service, ...] = ()
        self._only: Service | None = None
        self._candidates: dict[str, tuple[Service, ...]] = {}
        self._last_of_url: tuple[str, Service | None] = ("", None)
        self.reconfigure(config)

    def reconfigure(self, config: EdgeConfig) -> None:
        """Go by these services from now on. Raises ConfigError, and changes nothing then."""
        services = tuple(Service(one, config.http) for one in config.service_configs())
        _check_apart(services)
        self.all = services
        only = services[0] if len(services) == 1 else None
        self._only = only if only is not None and not only.hosts and only.path == "/" else None
        self._candidates = {}
        self._last_of_url = ("", None)
        self.revision += 1

    # -- from a request

    def key_of(self, host: str, target: str) -> tuple[Service, str] | None:
        """The service and the key of a request in origin form; None when there is no service.

        `host` is the Host field as received. Nothing is checked: the key of a target that must be
        refused is one that nothing is stored under.
        """
        service = self._only
        if service is not None:
            return service, service.url(host, target)
        service = self.match(host, target)
        if service is None:
            return None
        return service, service.url(host_name(host), target)

    def match(self, host: str, target: str) -> Service | None:
        """The service for this Host field and target; None when there is none."""
        if self._only is not None:
            return self._only
        candidates = self._candidates.get(host)
        if candidates is None:
            if len(self._candidates) >= HOSTS_REMEMBERED_MAX:
                self._candidates.clear()
            candidates = self._candidates[host] = self._of_host(host_name(host))
        for service in candidates:
            if service.path == "/" or _is_under(service.path, target):
                return service
        return None

    def knows_host(self, host: str) -> bool:
        """Whether any path of this host is served."""
        return bool(self._of_host(host_name(host)))

    def _of_host(self, host: str) -> tuple[Service, ...]:
        """All that may answer for a host, in the order they are tried."""
        found = [
            (rank, len(service.path), -index, service)
            for index, service in enumerate(self.all)
            if (rank := _rank(service.hosts, host)) is not None
        ]
        found.sort(key=lambda one: one[:3], reverse=True)
        return tuple(service for *_, service in found)

    # -- from a URL

    def of_url(self, url: str) -> Service | None:
        """Whose object this is, by its key or by where it is fetched; None: it is not ours, and
        must not be fetched."""
        last_url, service = self._last_of_url  # several parts ask about one answer in a row
        if url != last_url:
            service = self._of_url(url)
            self._last_of_url = (url, service)
        return service

    def _of_url(self, url: str) -> Service | None:
        if len(self.all) == 1:
            return self.all[0] if self.all[0].claim(url) is not None else None
        claims = [(claim, one) for one in self.all if (claim := one.claim(url)) is not None]
        return max(claims, key=lambda claim: claim[0])[1] if claims else None

    def canonical(self, url: str) -> str | None:
        """The key of what a manifest or an operator calls by this URL: one that is fetched from
        upstream, or one by which clients ask for it. None: it is not ours."""
        service = self.of_url(url)
        if service is not None:
            return service.key_of_url(url)
        if not url.startswith(("http://", "https://")):
            return None
        authority, target = _split(url)
        service = self.match(authority, target)
        # A service for any host would claim the whole Internet.
        if service is None or not service.hosts:
            return None
        return service.url(host_name(authority), target)

    def catalog_urls(self) -> tuple[str, ...]:
        """Where a Nearcast origin behind each service would tell what it offers."""
        urls = (service.config.base() + CATALOG_PATH for service in self.all)
        return tuple(dict.fromkeys(url for url in urls if self.of_url(url) is not None))

    # -- from an operator

    def purge_url(self, url: str) -> str | None:
        """The key of a URL as clients ask for it (or as it is fetched); a mere path is that of a
        service for any host. None: nothing can be stored under it."""
        if not url.startswith("/"):
            known = self.canonical(url)
            if known is not None:
                return known
        host, target = _split(url)
        found = self.key_of(host, target)
        return found[1] if found is not None else None

    def purge_prefixes(self, url: str) -> tuple[str, ...]:
        """What the keys begin with of all that clients ask for by URLs with this beginning. A
        slash alone is everything, whichever host it is asked for under."""
        if url == "/":
            return ("",)
        if any(service.claim(url) is not None for service in self.all):
            return (url,)
        host, path = _split(url)
        name = host_name(host)
        found: dict[str, None] = {}
        for service in self._of_host(name):
            if path.startswith(service.path):
                found[service.key_prefix(name, path)] = None
            elif service.path.startswith(path):
                found[service.key_prefix(name, service.path)] = None
        return tuple(found)


def host_name(host: str) -> str:
    """The host of a Host field or an authority: lower case, without port and final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].removesuffix(".")


def _authority(url: str) -> str:
    return _AUTHORITY_END.split(url.partition("://")[2], maxsplit=1)[0]


def _split(url: str) -> tuple[str, str]:
    """Authority and target of a URL, or of a path alone."""
    if url.startswith("/"):
        return "", url
    authority = _authority(url)
    target = url.partition("://")[2][len(authority) :].partition("#")[0]
    return authority, target if target.startswith("/") else f"/{target}"


def _rank(patterns: Sequence[str], host: str) -> int | None:
    """How closely the patterns fit the host; None when they do not. Any host fits least."""
    if not patterns:
        return 0
    if host in patterns:
        return 1_000
    ranks = [
        len(pattern) for pattern in patterns if pattern[0] == "*" and host.endswith(pattern[1:])
    ]
    return max(ranks, default=None)


def _is_under(prefix: str, path: str) -> bool:
    """Whether a path (or a target, or a URL) lies under a prefix: `/live` holds /live and /live/1,
    not /lively."""
    if not path.startswith(prefix):
        return False
    return prefix.endswith("/") or path[len(prefix) : len(prefix) + 1] in ("", "/", "?")


def _meet(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a host can fit a pattern of both."""
    return any(
        a == b
        or (a[0] == "*" and b.removeprefix("*").endswith(a[1:]))
        or (b[0] == "*" and a.removeprefix("*").endswith(b[1:]))
        for a in some
        for b in others
    )


def _check_apart(services: Sequence[Service]) -> None:
    for number, service in enumerate(services):
        for earlier in services[:number]:
            if set(service.hosts or ("*",)) & set(earlier.hosts or ("*",)) and (
                service.path.rstrip("/") == earlier.path.rstrip("/")
            ):
                raise ConfigError(
                    f"services[{number}] ({service.name}) answers for the same host and path as "
                    f"{earlier.name}; requests could not be told apart"
                )
            if service.overlaps(earlier):
                raise ConfigError(
                    f"services[{number}] ({service.name}) fetches the same URLs as "
                    f"{earlier.name}: objects of one would be served as the other's. Make them "
                    "one service with several hosts, or set key.host in both"
                )


def _first(value: float | None, default: float) -> float:
    return default if value is None else value
