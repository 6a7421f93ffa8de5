"""What must hold at every moment of a simulation, whatever is decided in it."""

from __future__ import annotations

from simulation.world import World


class InvariantBroken(AssertionError):
    """The message says what and where; the run's seed and scenario replay it."""


def check_world(world: World) -> None:
    """Raises InvariantBroken. Costs O(objects + flows): for tests, after every event."""
    where = f"seed {world.scenario.seed}, {world.scheduler.now_s():.6f} s"
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
                raise InvariantBroken(f"path {number} {name} loses bytes: {counters} ({where})")
    for name, edge in world.edges.items():
        status = edge.core.status(world.scheduler.now_s())
        held_bytes = sum(held.stored.size_bytes for held in edge.objects.values())
        if (status.object_count, status.object_bytes) != (len(edge.objects), held_bytes):
            raise InvariantBroken(
                f"edge {name} counts {status.object_count} objects of {status.object_bytes} bytes "
                f"and holds {len(edge.objects)} of {held_bytes} ({where})"
            )
        if status.object_bytes > status.capacity_bytes:
            raise InvariantBroken(f"edge {name} holds more than its capacity ({where})")


def check_end(world: World) -> None:
    """What must hold once everybody has gone. Raises InvariantBroken."""
    check_world(world)
    for name, edge in world.edges.items():
        if edge.unanswered_count:
            raise InvariantBroken(f"edge {name} left {edge.unanswered_count} requests unanswered")
