"""What must hold at every moment of a simulation, whatever is decided and whatever breaks in it.

no byte is lost or made on a link
what an edge counts is what its disk holds, and fits
what is stored is whole, and what a client got whole is what the origin has
equal misses are one fetch
whoever asks is answered, in bounded time
"""

from __future__ import annotations

from collections import Counter
from typing import Final
from urllib.parse import urlsplit

from nearcast.record import Record
from simulation.edge_node import EdgeNode
from simulation.edge_transfers import target_of
from simulation.records import Received
from simulation.world import World

LINKS_EVERY: Final = 50
"""Looks, between two at all links."""
QUIET_S: Final = 30.0
"""Longer than any answer is under way when everybody has gone."""
PATIENCE_SLACK_S: Final = 1.0
"""Beyond two fetches without a head: the second is the retry."""


class InvariantBroken(AssertionError):
    """The message says what and where; the run's seed and scenario replay it."""


class Checker:
    """Looks at one world. Give `record` to it as a recorder, and call `look` after events."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._known_whole: set[str] = set()
        self._look_count = 0
        self._seen_turns: dict[str, tuple[int, int]] = {}

    def record(self, record: Record) -> None:
        """What a client got whole is what the origin has."""
        if not isinstance(record, Received) or record.status != 200 or self._world is None:
            return
        true_size_bytes = self._world.origin.true_size_bytes(record.target)
        if record.size_bytes != true_size_bytes:
            raise InvariantBroken(
                f"{record.node} got {record.size_bytes} bytes of {record.target}, which has "
                f"{true_size_bytes} ({_where(self._world)})"
            )

    def look(self, world: World) -> None:
        """Raises InvariantBroken. What only a turn of its core can change at an edge is looked at
        after each turn; the links, which are busy all the time, now and then."""
        self._world = world
        if self._look_count % LINKS_EVERY == 0:
            check_links(world)
        self._look_count += 1
        for edge in world.edges.values():
            turns = (id(edge.core), edge.turn_count)
            if edge.is_running and self._seen_turns.get(edge.name) != turns:
                self._seen_turns[edge.name] = turns
                self._check_edge(world, edge)

    def end(self, world: World) -> None:
        """What must hold once everybody has gone."""
        self._world = world
        # Whoever left at the last moment is still to be heard of, and what hangs to be given up.
        world.scheduler.run(until_s=world.scheduler.now_s() + QUIET_S)
        check_links(world)
        for name, edge in world.edges.items():
            if edge.is_running:
                self._check_edge(world, edge)
            if edge.serving.unanswered_count:
                raise InvariantBroken(
                    f"edge {name} left {edge.serving.unanswered_count} requests unanswered "
                    f"({_where(world)})"
                )

    def _check_edge(self, world: World, edge: EdgeNode) -> None:
        self._check_store(world, edge)
        _check_fills(world, edge)
        _check_patience(world, edge)

    def _check_store(self, world: World, edge: EdgeNode) -> None:
        status = edge.core.status(world.scheduler.now_s())
        held_bytes = 0
        for held in edge.disk:
            stored = held.stored
            held_bytes += stored.size_bytes
            if stored.object_id in self._known_whole or stored.status != 200:
                continue
            true_size_bytes = world.origin.true_size_bytes(urlsplit(stored.url).path)
            if stored.size_bytes != true_size_bytes:
                raise InvariantBroken(
                    f"edge {edge.name} stored {stored.size_bytes} of {true_size_bytes} bytes of "
                    f"{stored.url} ({_where(world)})"
                )
            self._known_whole.add(stored.object_id)
        if (status.object_count, status.object_bytes) != (len(edge.disk), held_bytes):
            raise InvariantBroken(
                f"edge {edge.name} counts {status.object_count} objects of "
                f"{status.object_bytes} bytes and holds {len(edge.disk)} of {held_bytes} "
                f"({_where(world)})"
            )
        if status.object_bytes > status.capacity_bytes:
            raise InvariantBroken(f"edge {edge.name} holds more than it may ({_where(world)})")
        if edge.disk.damaged_served_count:
            raise InvariantBroken(f"edge {edge.name} served a damaged body ({_where(world)})")


def check_links(world: World) -> None:
    """No byte is lost or made."""
    for number, path in enumerate(world.paths):
        for name, wire in (("up", path.up), ("down", path.down)):
            counters = wire.link.counters()
            accounted_bytes = (
                counters.delivered_bytes
                + counters.discarded_bytes
                + counters.queued_bytes
                + counters.in_flight_bytes
            )
            if counters.offered_bytes != accounted_bytes:
                raise InvariantBroken(
                    f"path {number} {name} loses bytes: {counters} ({_where(world)})"
                )


def _check_fills(world: World, edge: EdgeNode) -> None:
    """Equal misses are one fetch: a second one for a URL only beside what will not be stored."""
    urls = Counter(fill.url for fill in edge.fills.values() if not fill.is_stream_only)
    for url, count in urls.items():
        if count > 1:
            raise InvariantBroken(
                f"edge {edge.name} fetches {target_of(url)} {count} times at once ({_where(world)})"
            )


def _check_patience(world: World, edge: EdgeNode) -> None:
    http = edge.config.http
    limit_s = 2 * (http.connect_timeout_s + http.fill_header_timeout_s) + PATIENCE_SLACK_S
    waited_s = edge.serving.waited_s_max()
    if waited_s > limit_s:
        raise InvariantBroken(
            f"a client of edge {edge.name} has waited {waited_s:.3f} s ({_where(world)})"
        )


def _where(world: World) -> str:
    return f"seed {world.scenario.seed}, {world.scheduler.now_s():.6f} s"
