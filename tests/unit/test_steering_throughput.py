"""What clients of a network measured, and what becomes of it in the ranking."""

import pytest

from origin.steering.throughput import CLIENTS_MIN, ENOUGH_KBPS, KEPT_S, NETWORKS_MAX
from origin.steering.throughput import NetworkThroughput as Throughput
from tests.steering_world import Players, many

NEIGHBOURS = tuple(f"192.0.2.{200 + number}" for number in range(CLIENTS_MIN))
NEIGHBOUR = NEIGHBOURS[0]
STRANGER = "198.51.100.7"


def told(kbps: dict[str, float], clients: tuple[str, ...] = NEIGHBOURS) -> Throughput:
    throughput = Throughput()
    for edge, each in kbps.items():
        for client in clients:
            throughput.measured(client, edge, each, 100.0)
    return throughput


def test_an_edge_that_is_clearly_slower_for_a_network_is_known_there_alone() -> None:
    throughput = told({"fast": 20_000.0, "slow": 1_000.0})
    assert throughput.slower("192.0.2.7", 101.0) == {"slow"}
    assert throughput.slower(f"::ffff:{NEIGHBOUR}", 101.0) == {"slow"}
    assert throughput.slower(STRANGER, 101.0) == frozenset()
    assert throughput.slower("nobody", 101.0) == frozenset()


def test_networks_of_ipv6_are_those_of_a_site() -> None:
    clients = tuple(f"2001:db8:1:{subnet}::1" for subnet in range(CLIENTS_MIN))
    throughput = told({"fast": 20_000.0, "slow": 1_000.0}, clients)
    assert throughput.slower("2001:db8:1:ffff::9", 101.0) == {"slow"}
    assert throughput.slower("2001:db8:2::1", 101.0) == frozenset()


@pytest.mark.parametrize(
    "kbps",
    [
        {"one": 1_000.0, "two": 1_400.0},
        {"one": ENOUGH_KBPS, "two": 900_000.0},
        {"one": 1_000.0},
    ],
)
def test_alike_enough_or_alone_is_not_slow(kbps: dict[str, float]) -> None:
    assert told(kbps).slower(NEIGHBOUR, 101.0) == frozenset()


@pytest.mark.parametrize(
    "clients",
    [
        ("192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::ffff:3"),
    ],
)
def test_few_clients_say_nothing_by_however_many_addresses(clients: tuple[str, ...]) -> None:
    assert told({"fast": 20_000.0, "slow": 500.0}, clients).slower(clients[0], 101.0) == frozenset()


def test_what_was_measured_long_ago_is_forgotten() -> None:
    throughput = told({"fast": 20_000.0, "slow": 1_000.0})
    assert throughput.slower(NEIGHBOUR, 99.0 + KEPT_S) == {"slow"}
    assert throughput.slower(NEIGHBOUR, 101.0 + KEPT_S) == frozenset()


def test_the_networks_that_are_kept_are_those_that_asked_last() -> None:
    throughput = told({"fast": 20_000.0, "slow": 1_000.0})
    for number in range(NETWORKS_MAX):
        client = f"10.{number >> 8}.{number & 255}.1"
        throughput.measured(client, "fast", 9_000.0, 101.0)
    assert throughput.slower(NEIGHBOUR, 102.0) == frozenset()


def stay(players: Players, edge: str, kbps: float, client: str, title: str) -> None:
    """A client that was sent to `edge` half a minute ago says what it measured."""
    said = f"tried={edge}.{int(players.wall_s) - 30}.0&_HLS_pathway={edge}"
    players.ask(title, f"{said}&_HLS_throughput={kbps * 1_000:.0f}", client)


def test_one_client_with_many_titles_says_nothing() -> None:
    players = Players(*many(2))
    slow = players.first("film")
    fast = "e1" if slow == "e0" else "e0"
    for edge, kbps in ((slow, 1_000.0), (fast, 20_000.0)):
        for number in range(3 * CLIENTS_MIN):
            players.now_s += 1.0
            stay(players, edge, kbps, NEIGHBOUR, f"other{number}")
    assert players.first("film") == slow


@pytest.mark.parametrize("is_held", [False, True])
def test_new_clients_go_where_those_of_their_network_measured_more(is_held: bool) -> None:
    """An edge that is slow for a network gets its new clients last, though it draws highest and
    holds the title; clients of other networks go there as before."""
    players = Players(*many(2))
    slow = players.first("film")
    fast = "e1" if slow == "e0" else "e0"
    if is_held:
        players.beat(slow, titles=("film",))
    for number in range(CLIENTS_MIN):
        stay(players, slow, 3_000.0, f"192.0.2.{100 + number}", f"other{number}")
        assert players.first("film") == slow, "before anything is known of the other"
    for number in range(CLIENTS_MIN):
        stay(players, fast, 20_000.0, f"192.0.2.{150 + number}", f"other{number}")
    assert players.ask("film").pathways[:2] == (fast, slow)
    assert players.first("film", client=STRANGER) == slow
    (place,) = (
        each
        for each in players.steering.explain(
            "192.0.2.7", "film", wall_s=players.wall_s, now_s=players.now_s
        )
        if each.edge == slow
    )
    assert "slower for its network" in place.reason


def test_a_client_that_is_well_stays_where_others_are_slow() -> None:
    players = Players(*many(2))
    for number in range(CLIENTS_MIN):
        stay(players, "e0", 3_000.0, f"192.0.2.{100 + number}", "a")
        stay(players, "e1", 20_000.0, f"192.0.2.{150 + number}", "a")
    assert players.first("film", "_HLS_pathway=e0") == "e0"
