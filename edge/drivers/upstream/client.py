"""The client side of an edge: fills, requests passed through, and questions of the node's own.

    url -> service -> destination -> peer -> connection -> Fetch | Exchange | WholeFetch

A URL that belongs to none of the services is refused here, whoever made the core name it, and no
redirect is ever followed: nothing but the configured upstreams can be contacted, and the edges that
a signed placement plan names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies
from edge.drivers.upstream.beginning import Beginning
from edge.drivers.upstream.dial import Dialer
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.exchange import Exchange, ExchangeSink
from edge.drivers.upstream.failures import UpstreamFailure
from edge.drivers.upstream.fetch import Fetch
from edge.drivers.upstream.pool import Mark, Peer, Pool, Spawn, unmarked
from edge.drivers.upstream.resolve import Lookup, Resolver
from edge.drivers.upstream.tls import Credentials
from edge.drivers.upstream.whole import Answer, WholeFetch
from edge.effects import (
    AllowFill,
    CancelFill,
    CutFill,
    PassThrough,
    PauseFill,
    ResumeFill,
    SetFillPriority,
    StartFill,
)
from edge.events import Event, FailureCause, Headers
from edge.pacing import CONNECTIONS_MAX
from edge.services import Services
from edge.targets import Destination, UpstreamTarget, edge_target
from nearcast.errors import ConfigError, LocalProtocolError
from nearcast.http1 import Framing

PEER_CONNECTIONS_MAX: Final = CONNECTIONS_MAX
EDGES_MAX: Final = 1_000
"""Other edges whose connections are kept apart; a plan names no more."""


class Upstream:
    """Make it inside the running loop."""

    def __init__(
        self,
        config: EdgeConfig,
        services: Services,
        bodies: Bodies,
        tell: Callable[[Event], None],
        spawn: Spawn,
        *,
        mark: Mark = unmarked,
        lookup: Lookup | None = None,
    ) -> None:
        self._http = config.http
        self._fleet = config.fleet
        self._edges: dict[str, UpstreamTarget] = {}
        self._services = services
        self._bodies = bodies
        self._tell = tell
        self._spawn = spawn
        self._fills: dict[int, Fetch] = {}
        resolver = Resolver(asyncio.get_running_loop().time, lookup)
        self._dialer = Dialer(resolver, timeout_s=config.http.connect_timeout_s)
        self._pool = Pool(
            self._dialer,
            spawn,
            connections_max=CONNECTIONS_MAX + config.prefetch.in_flight_max,
            peer_connections_max=PEER_CONNECTIONS_MAX,
            mark=mark,
        )

    @property
    def connection_count(self) -> int:
        return self._pool.open_count

    @property
    def failures(self) -> tuple[UpstreamFailure, ...]:
        """The last of each upstream."""
        return self._pool.failures.figures()

    def load(self) -> None:
        """Read certificates and tokens of all upstreams, so that what is missing is known now.
        Raises ConfigError."""
        for service in self._services.all:
            self._pool.peer(service.target)

    def check(self, services: Services) -> None:
        """Whether all that these services name can be read. Raises ConfigError."""
        for service in services.all:
            target = service.target
            Credentials(
                target.tls, target.token, is_tls=target.scheme == "https", host=target.host
            ).load()

    def reconfigure(self, config: EdgeConfig) -> None:
        """The services and these settings are in force from now on; `check` has passed."""
        self._http = config.http
        self._dialer.timeout_s = config.http.connect_timeout_s
        self.reload()

    def reload(self) -> None:
        """The settings or the files they name have changed. Raises ConfigError when one cannot be
        used; what was read before then stays in use."""
        self._pool.keep_only(service.target for service in self._services.all)
        self._pool.load_credentials()

    # -- fills

    def start(self, effect: StartFill) -> None:
        fill_id = effect.fill_id
        body = self._bodies.fills.begin(fill_id)
        beginning = None
        if effect.continues is not None:
            beginning = Beginning(effect.continues, self._bodies, body, self._spawn)
        fetch = Fetch(
            effect,
            body,
            fill_bodies=self._bodies.fills,
            tell=self._tell,
            on_over=self._over,
            beginning=beginning,
        )
        self._fills[fill_id] = fetch
        self._begin(effect.url, fetch.start, fetch.refused, edge=effect.peer)

    def pause(self, effect: PauseFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.pause()

    def resume(self, effect: ResumeFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.resume()

    def allow(self, effect: AllowFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.allow(effect.leave_bytes)

    def cut(self, effect: CutFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.cut()

    def cancel(self, effect: CancelFill) -> None:
        fetch = self._fills.pop(effect.fill_id, None)
        if fetch is not None:
            fetch.cancel()
        else:
            self._bodies.fills.end(effect.fill_id)

    def set_priority(self, effect: SetFillPriority) -> None:
        """Its connection stays what it is, but for its buffer."""
        if (fill := self._fills.get(effect.fill_id)) is not None and effect.priority == "demand":
            fill.widen()

    def _over(self, fill_id: int) -> None:
        self._fills.pop(fill_id, None)

    # -- requests passed through

    def exchange(self, effect: PassThrough, framing: Framing, sink: ExchangeSink) -> Exchange:
        """As edge.drivers.server.passing.Forwarder."""
        exchange = Exchange(effect, framing, sink, self._http)
        self._begin(effect.url, exchange.start, exchange.refuse)
        return exchange

    # -- questions of our own

    async def get(self, url: str, headers: Headers, *, bytes_max: int, timeout_s: float) -> Answer:
        """Raises UpstreamError."""
        peer, destination = self._where(url)
        fetch = WholeFetch(bytes_max=bytes_max)
        try:
            async with asyncio.timeout(timeout_s):
                fetch.start(peer, destination, headers)
                return await fetch.answer
        except TimeoutError as error:
            raise UpstreamError("timeout", f"no answer within {timeout_s:g} s") from error
        finally:
            fetch.close()

    def close(self) -> None:
        for fill_id in tuple(self._fills):
            self._fills.pop(fill_id).cancel()
        self._pool.close()

    def _begin(
        self,
        url: str,
        start: Callable[[Peer, Destination], None],
        refuse: Callable[[FailureCause, str], None],
        *,
        edge: str = "",
    ) -> None:
        """Start what wants this URL, or say why not. `edge`: another one is asked for it."""
        try:
            peer, destination = self._where(url) if not edge else self._where_at(edge, url)
            start(peer, destination)
        except (UpstreamError, LocalProtocolError) as error:
            cause = error.cause if isinstance(error, UpstreamError) else "refused"
            refuse(cause, str(error))

    def _where_at(self, edge: str, url: str) -> tuple[Peer, Destination]:
        """At another edge: what a client would ask of it."""
        service = self._services.of_url(url)
        if service is None:
            raise UpstreamError("refused", "that URL is of no configured upstream")
        if edge not in self._edges and len(self._edges) >= EDGES_MAX:
            self._edges.clear()
            self._pool.keep_only(service.target for service in self._services.all)
        target = self._edges.setdefault(edge, edge_target(edge, self._fleet.peer_ca_file))
        host = next((name for name in service.hosts if "*" not in name), target.authority)
        try:
            return self._pool.peer(target), Destination(target, service.target_of(url), host)
        except ConfigError as error:
            raise UpstreamError("refused", str(error)) from error

    def _where(self, url: str) -> tuple[Peer, Destination]:
        service = self._services.of_url(url)
        if service is None:
            raise UpstreamError("refused", "that URL is of no configured upstream")
        destination = service.destination(url)
        try:
            return self._pool.peer(destination.upstream), destination
        except ConfigError as error:
            raise UpstreamError("refused", str(error)) from error
