"""The settings of one edge, with ranges; nothing is read from anywhere but the constructor."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from cache.admission import AdmissionParams
from cache.config import CacheConfig
from cache.eviction import EvictionParams
from edge.config.fleet import FleetConfig
from edge.config.http import HttpConfig
from edge.config.models import ModelsConfig
from edge.config.ranges import Count
from edge.config.server import ServerConfig, TlsConfig
from edge.config.service import ServiceConfig, ServiceRules, check_upstream
from edge.config.storage import StorageConfig
from edge.config.telemetry import TelemetryConfig
from edge.config.titles import TitlesConfig
from edge.config.watching import InferenceConfig, PrefetchConfig, SessionsConfig
from nearcast.config import Section
from nearcast.errors import ConfigError

NAME_DEFAULT: Final = "nearcast"
_NAME = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,63}")
"""A token of RFC 8941: it goes into Cache-Status unquoted."""


class EdgeConfig(Section, frozen=True, kw_only=True):
    """One cache node."""

    upstream: str = ""
    """http(s)://host[:port][/prefix]; a request's target is appended to it. The short form of a
    node with one service, which [service] describes further."""
    service: ServiceRules = ServiceRules()
    services: tuple[ServiceConfig, ...] = ()
    """Several upstreams on one node, each with the hosts and paths it answers for."""
    name: str = NAME_DEFAULT
    """In Cache-Status. In a fleet, by default, what the fleet calls the edge."""
    listen: str = "127.0.0.1:8081"
    admin_listen: str | None = None
    """Where status and metrics are served; None: on `listen`, to loopback clients only."""
    admin_token_file: str | None = None
    """Holds the word without which nothing can be changed over `admin_listen`; made when it is
    not there. None: nothing can."""
    store: str | None = None
    """Folder of the object store; None: in memory only, and `memory_bytes` is the capacity."""
    capacity_bytes: Count = 10_000_000_000
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256_000_000
    index_bytes_max: Count = 500_000_000
    """RAM for what is known of the stored objects: about 2 kB each, and their URLs and fields."""
    object_bytes_max: Count = 1_000_000_000
    memory_object_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4_000_000
    """Larger objects are served from the store's files; without a store this has no effect."""
    growing_bytes_max: Count = 64_000_000
    """RAM for what is fetched and not yet with its clients or on disk, all fetches together; each
    has 256 KB in any case. Without a store, what is to be kept may take `memory_bytes` besides."""
    eviction: str = "s3fifo"
    admission: str = "always"
    eviction_params: EvictionParams = EvictionParams()
    admission_params: AdmissionParams = AdmissionParams()
    http: HttpConfig = HttpConfig()
    sessions: SessionsConfig = SessionsConfig()
    prefetch: PrefetchConfig = PrefetchConfig()
    server: ServerConfig = ServerConfig()
    storage: StorageConfig = StorageConfig()
    tls: TlsConfig = TlsConfig()
    inference: InferenceConfig = InferenceConfig()
    models: ModelsConfig = ModelsConfig()
    titles: TitlesConfig = TitlesConfig()
    fleet: FleetConfig = FleetConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    def __post_init__(self) -> None:
        if self.upstream:
            check_upstream(self.upstream)
            if self.services:
                raise ValueError(
                    "upstream and services are both set: give the upstream a [[services]] too"
                )
        if self.services and self.service != ServiceRules():
            raise ValueError(
                "[service] (--profile transparent sets some of it) is for a node with one "
                "upstream; say it in each of [[services]]"
            )
        names = [service.name for service in self.services]
        if len(set(names)) < len(names):
            raise ValueError("services: two have the same name")
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name {self.name!r} must be a word of letters, digits, - _ . : / "
                "that starts with a letter, at most 64 long"
            )
        if self.store is not None and not self.store:
            raise ValueError("store is empty; name a folder, or leave it out to keep all in memory")
        if self.store is None and self.memory_bytes == 0:
            raise ValueError("without a store, memory_bytes must be above 0")

    def service_configs(self) -> tuple[ServiceConfig, ...]:
        """The services of this node. Raises ConfigError when there are none."""
        if self.services:
            return self.services
        if not self.upstream:
            raise ConfigError("no upstream is set; give one with --upstream http://host[:port]")
        rules = {name: getattr(self.service, name) for name in ServiceRules.__struct_fields__}
        return (ServiceConfig(name="default", upstream=self.upstream, **rules),)

    def upstream_url(self) -> str:
        """The (first) upstream without a slash at its end. Raises ConfigError when none is set."""
        return self.service_configs()[0].base()

    def cache(self) -> CacheConfig:
        """The index's settings. Without a store everything is in RAM, so both tiers are one."""
        capacity_bytes, memory_bytes = self.capacity_bytes, self.memory_bytes
        memory_object_bytes_max = self.memory_object_bytes_max
        if self.store is None:
            capacity_bytes = memory_bytes = min(capacity_bytes, memory_bytes)
            memory_object_bytes_max = capacity_bytes
        return CacheConfig(
            capacity_bytes=capacity_bytes,
            memory_capacity_bytes=memory_bytes,
            memory_object_bytes_max=memory_object_bytes_max,
            prefetch_share=self.prefetch.capacity_share,
            index_bytes_max=self.index_bytes_max,
            eviction=self.eviction,
            admission=self.admission,
            eviction_params=self.eviction_params,
            admission_params=self.admission_params,
        )
