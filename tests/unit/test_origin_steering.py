"""Where players are sent, why, and when they are moved."""

import json
from collections import Counter

import pytest
from msgspec import structs

from nearcast.steering import (
    HOME_PATHWAY,
    ORIGIN_PATHWAY,
    SteeringManifest,
    UriReplacement,
)
from origin.fleet import ConnectionLost, EdgeChanged, ProbeAnswered
from origin.steering.tried import Tried, read_tried, write_tried
from tests.simulated_fleet import WALL_S, record_of
from tests.steering_world import CLIENT, Players, many


def test_every_edge_is_a_clone_of_home_which_comes_last() -> None:
    manifest = Players(*many(2)).ask()
    assert sorted(manifest.pathways[:-1]) == ["e0", "e1"]
    assert manifest.pathways[-1] == HOME_PATHWAY
    for clone in manifest.clones:
        assert clone.base_id == HOME_PATHWAY
        assert clone.replacement.host == f"{clone.id}.example:8080"


ORIGIN = "https://origin.example"
OF_NOW = "base=_origin&format=hls&variants=v1,v2&renditions=a"


def asked(query: str, *, site_url: str = ORIGIN, url: str = "") -> SteeringManifest:
    """Of an origin that knows where it is reached; one edge, at `url`."""
    players = Players(record_of("e0", url=url or "https://e0.example"), site_url=site_url)
    return players.ask("film one", query)


def test_manifests_of_now_get_clones_of_the_origin_which_comes_last() -> None:
    manifest = asked(OF_NOW)
    assert manifest.pathways == ("e0", HOME_PATHWAY, ORIGIN_PATHWAY)
    (clone,) = manifest.clones
    assert clone.base_id == ORIGIN_PATHWAY
    assert clone.replacement == UriReplacement(host="e0.example")


def test_manifests_of_versions_before_get_clones_of_home() -> None:
    manifest = asked("")
    assert manifest.pathways == ("e0", HOME_PATHWAY)
    assert [clone.base_id for clone in manifest.clones] == [HOME_PATHWAY]


def test_what_to_ask_next_is_absolute_and_brings_along_what_the_manifest_said() -> None:
    """Shaka resolves no relative RELOAD-URI, and asks no more."""
    reload_uri = asked(f"token=x&{OF_NOW}&_HLS_pathway=home").reload_uri
    assert reload_uri.startswith(f"{ORIGIN}/v1/steering/film%20one?token=x&{OF_NOW}&tried=e0.")


PER_VARIANT = {
    each: f"https://e0.example:8443/media/film%20one/{each}/playlist.m3u8" for each in ("v1", "v2")
}
PER_RENDITION = {"a": "https://e0.example:8443/media/film%20one/a/playlist.m3u8"}


@pytest.mark.parametrize(
    ("origin_port", "edge_port", "query", "host", "has_uris"),
    [
        ("", "", OF_NOW, "e0.example", False),
        ("", ":443", OF_NOW, "e0.example", False),
        (":8443", ":8443", OF_NOW, "e0.example", True),
        (":8443", ":8443", "base=_origin", "e0.example:8443", False),
        ("", ":8443", OF_NOW, "e0.example:8443", True),
        ("", ":8443", "base=_origin", "e0.example:8443", False),
        (":8443", "", "base=_origin", "e0.example:443", False),
    ],
)
def test_ports_are_told_so_that_each_player_can_follow(
    origin_port: str, edge_port: str, query: str, host: str, has_uris: bool
) -> None:
    """hls.js, Shaka and video.js keep the port of the URL; dash.js does not."""
    manifest = asked(query, site_url=f"{ORIGIN}{origin_port}", url=f"https://e0.example{edge_port}")
    (clone,) = manifest.clones
    assert clone.replacement.host == host
    assert clone.replacement.variant_uris == (PER_VARIANT if has_uris else {})
    assert clone.replacement.rendition_uris == (PER_RENDITION if has_uris else {})


@pytest.mark.parametrize("ids", ["a b", "x" * 65, "a,,b", ",".join(["abcdefgh"] * 100)])
def test_ids_that_are_none_are_left_out(ids: str) -> None:
    """And players of HLS stay such: on a port that edge and origin share they need the bare name,
    and an edge is one clone."""
    site_url, url = f"{ORIGIN}:8443", "https://e0.example:8443"
    manifest = asked(f"base=_origin&format=hls&variants={ids}", site_url=site_url, url=url)
    assert manifest.pathways[0] == "e0"
    (clone,) = manifest.clones
    assert (clone.base_id, clone.replacement) == (ORIGIN_PATHWAY, UriReplacement(host="e0.example"))


def test_an_mpd_gets_clones_of_both_pathways() -> None:
    """dash.js knows of the first alone, whose URL is relative; Shaka would fail over that one."""
    players = Players(record_of("e0", url="https://e0.example:8443"), site_url=ORIGIN)
    body = players.steering.answer(
        CLIENT, "t", "base=_origin", wall_s=players.wall_s, now_s=players.now_s
    )
    clones = json.loads(body)["PATHWAY-CLONES"]
    told = [(each["BASE-ID"], each["ID"], each["URI-REPLACEMENT"]) for each in clones]
    rules = {"HOST": "e0.example:8443", "PARAMS": {}}
    assert told == [(ORIGIN_PATHWAY, "e0", rules), (HOME_PATHWAY, "e0", rules)]


def test_edges_that_the_manifest_lists_get_no_clones() -> None:
    """video.js stalls on a clone of a pathway that it knows."""
    manifest = asked(f"{OF_NOW}&listed=e0,gone")
    assert manifest.pathways == ("e0", HOME_PATHWAY, ORIGIN_PATHWAY)
    assert manifest.clones == ()
    assert "&listed=e0,gone&" in manifest.reload_uri
    assert len(asked(f"{OF_NOW}&listed=e1").clones) == 1


def test_without_edges_there_is_home() -> None:
    manifest = Players().ask()
    assert (manifest.pathways, manifest.clones, manifest.reload_uri) == ((HOME_PATHWAY,), (), "")


def test_an_answer_is_short_in_a_large_fleet() -> None:
    assert len(Players(*many(50)).ask().pathways) == 5


@pytest.mark.parametrize("duty", ["draining", "maintenance"])
def test_no_player_is_sent_where_the_operator_wants_none(duty: str) -> None:
    players = Players(*many(2))
    assert "e0" in players.ask().pathways
    players.fleet.handle(EdgeChanged(record=record_of("e0", duty=duty)), players.now_s)
    assert players.ask().pathways == ("e1", HOME_PATHWAY)
    assert players.first(query="_HLS_pathway=e0") == "e1"


def test_no_player_is_sent_to_the_dead_the_revoked_or_those_who_stop() -> None:
    players = Players(*many(4))
    players.kill("e0")
    players.beat("e1", is_draining=True)
    revoked = structs.replace(record_of("e2"), revoked=True)
    players.fleet.handle(EdgeChanged(record=revoked), players.now_s)
    assert players.ask().pathways == ("e3", HOME_PATHWAY)


def test_the_longest_prefix_wins_then_cluster_region_and_the_rest() -> None:
    players = Players(
        record_of("near", networks=("192.0.2.0/28",), cluster="c", region="r"),
        record_of("wide", networks=("192.0.2.0/24", "2001:db8::/32"), region="r"),
        record_of("mate", cluster="c"),
        record_of("region", region="r"),
        record_of("any"),
        record_of("far", networks=("198.51.100.0/24", "no network", "10.0.0.0/99")),
    )
    places = players.steering.explain(CLIENT, "t", wall_s=players.wall_s, now_s=players.now_s)
    assert {each.edge: each.nearness for each in places} == {
        "near": "network",
        "mate": "cluster",
        "wide": "wider network",
        "region": "region",
        "any": "anywhere",
        "far": "far",
    }
    assert players.ask().pathways == ("near", "mate", "wide", "region", HOME_PATHWAY)
    assert players.first(client="2001:db8::1") == "wide"
    assert players.first(client="::ffff:192.0.2.1") == "near"
    assert players.first(client="198.51.100.1") == "far"
    assert players.first(client="not an address") in ("any", "mate", "region")


def test_a_title_goes_to_the_same_edge_for_all_and_titles_spread() -> None:
    players = Players(*many(8))
    firsts: Counter[str] = Counter()
    for title in range(400):
        (one,) = {players.first(f"t{title}", client=f"192.0.2.{number}") for number in range(5)}
        firsts[one] += 1
    assert len(firsts) == 8
    assert max(firsts.values()) < 2 * 400 / 8


def test_edges_that_hold_a_title_share_its_players() -> None:
    players = Players(*many(8))
    for edge in ("e2", "e5"):
        players.beat(edge, titles=("t", "u"))
    firsts = Counter(players.first(client=f"192.0.{n // 250}.{n % 250}") for n in range(400))
    assert set(firsts) == {"e2", "e5"}
    assert min(firsts.values()) > 140


def test_a_stronger_edge_gets_more_titles() -> None:
    players = Players(record_of("big", link_kbps=3e6), record_of("small", link_kbps=1e6))
    firsts = Counter(players.first(f"t{title}") for title in range(600))
    assert 0.70 < firsts["big"] / 600 < 0.80


def test_full_failing_and_suspect_edges_come_behind() -> None:
    players = Players(*many(4, networks=("192.0.2.0/24",)), record_of("other"))
    players.beat("e0", load=0.95)
    players.beat("e1", is_failing=True)
    for edge in ("e2", "e3"):
        players.kill(edge)
    assert players.ask().pathways[0] == "other"
    assert set(players.ask().pathways[1:3]) == {"e0", "e1"}


def test_a_client_stays_where_it_is() -> None:
    players = Players(*many(8))
    for edge in ("e2", "e5"):
        players.beat(edge, titles=("t",))
    for index in range(8):
        query = f"_DASH_pathway=%22e{index}%22&_DASH_throughput=9000000"
        assert players.first(query=query) == f"e{index}"


def test_dash_lists_what_it_used_by_throughput_and_stays_where_it_was_sent() -> None:
    players = Players(*many(3))
    told = f"tried=e1.{int(players.wall_s) - 20}.0"
    for listed in ("e1,e0", "e0,e1", "e1,e1", "home,e1"):
        query = f"{told}&_DASH_pathway=%22{listed}%22&_DASH_throughput=9000000,8000000"
        assert players.first(query=query) == "e1"
    # It went on by itself when the edge it was sent to died.
    players.kill("e1")
    query = f"{told}&_DASH_pathway=%22e1,e2%22&_DASH_throughput=9000000,8000000"
    assert players.first(query=query) == "e2"


def test_a_client_is_moved_off_the_dead() -> None:
    players = Players(*many(3))
    players.kill("e1")
    assert "e1" not in players.ask(query="_HLS_pathway=e1&_HLS_throughput=9000000").pathways
    assert players.steering.moves["out"] == 1


def test_a_full_edge_lets_some_go_and_as_few_as_it_takes() -> None:
    players = Players(*many(2))
    clients = [f"10.1.{n // 250}.{n % 250}" for n in range(500)]

    def stay(load: float) -> int:
        players.beat("e0", load=load)
        return sum(players.first(query="_HLS_pathway=e0", client=one) == "e0" for one in clients)

    assert stay(0.79) == 500
    assert 0.80 < stay(0.9) / 500 < 0.95  # 0.8 / 0.9 = 0.89
    assert 0.45 < stay(1.6) / 500 < 0.55
    moved = players.ask(query="_HLS_pathway=e0", client="10.1.0.1")
    assert sorted(moved.pathways) == ["e0", "e1", HOME_PATHWAY]


def test_clients_go_home_when_the_near_edge_has_room_and_not_before() -> None:
    players = Players(record_of("near", networks=("10.1.0.0/16",)), record_of("far"))
    clients = [f"10.1.{n // 250}.{n % 250}" for n in range(500)]

    def back(load: float) -> int:
        players.beat("near", load=load)
        said = [players.first(query="_HLS_pathway=far", client=one) for one in clients]
        return said.count("near")

    assert back(0.75) == 0
    assert back(0.61) == 0
    assert 0.4 < back(0.3) / 500 < 0.6
    assert back(0.0) == 500


class Player:
    """Asks as a player does: the URL it was told, with what it measured."""

    def __init__(self, players: Players, kbps: dict[str, float]) -> None:
        self.players = players
        self.kbps = kbps
        self.on = HOME_PATHWAY
        self.query = ""
        self.been: list[str] = []

    def ask(self) -> None:
        measured = self.kbps.get(self.on, 500.0) * 1_000
        query = f"{self.query}&_HLS_pathway={self.on}&_HLS_throughput={measured:.0f}"
        manifest = self.players.ask(query=query.removeprefix("&"))
        self.query = manifest.reload_uri.removeprefix("?")
        if manifest.pathways[0] != self.on:
            self.on = manifest.pathways[0]
            self.been.append(self.on)
        self.players.now_s += 10.0


def test_a_slow_client_is_sent_to_another_edge_and_stays_where_it_is_fast() -> None:
    players = Players(*many(3))
    first = players.first()
    player = Player(players, dict.fromkeys(("e0", "e1", "e2"), 20_000.0) | {first: 800.0})
    for _ in range(60):
        player.ask()
    assert len(player.been) == 2
    assert player.been[0] == first != player.been[1]


def test_a_client_that_is_slow_everywhere_comes_to_rest_at_the_best() -> None:
    players = Players(*many(6))
    player = Player(players, {f"e{index}": 300.0 + 200.0 * index for index in range(6)})
    for _ in range(50):
        player.ask()
    assert len(player.been) <= 5
    tried = player.been[:4]
    assert player.on == max(tried, key=lambda name: player.kbps[name])


def test_what_a_fast_client_measured_moves_nobody() -> None:
    players = Players(*many(3))
    player = Player(players, dict.fromkeys(("e0", "e1", "e2"), 4_000.0))
    for _ in range(30):
        player.ask()
    assert len(player.been) == 1


def test_other_arguments_of_the_url_are_kept() -> None:
    players = Players(*many(1))
    reload_uri = players.ask(query="token=a%2Bb&_HLS_pathway=home&tried=e9.5.5").reload_uri
    assert reload_uri.startswith("?token=a%2Bb&tried=e0.")
    assert "e9" not in reload_uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "e0",
        "e0.1",
        "e0.1.2.3",
        "E0.1.2",
        "e0.x.2",
        "e0.1.2_",
        "e0.99999999999.1",
        "e0.-1.2",
        "e0.1.2\n",
        "../x.1.2",
    ],
)
def test_nonsense_in_the_memory_of_a_client_is_nothing(text: str) -> None:
    assert read_tried(text, WALL_S) == ()


def test_the_memory_of_a_client_is_bounded_and_fades() -> None:
    tried = [Tried(edge=f"e{index}", since_wall_s=int(WALL_S) - 100 * index) for index in range(9)]
    read = read_tried(write_tried(tried), WALL_S)
    assert read == tuple(tried[:4])
    assert read_tried(write_tried(tried), WALL_S + 450.0) == tuple(tried[:2])
    assert read_tried(write_tried(tried), WALL_S + 9_999.0) == (tried[0],)


def test_clients_come_back_sooner_while_an_edge_is_suspect() -> None:
    players = Players(*many(3))
    assert players.ask().ttl_s == 10.0
    players.kill("e0")
    players.now_s += 40.0
    assert players.ask().ttl_s == 10.0
    players.fleet.handle(ConnectionLost(edge="e1"), players.now_s)
    players.fleet.handle(ProbeAnswered(edge="e1", outcome="ok", rtt_s=0.01), players.now_s)
    edge = players.fleet.edge("e1")
    assert edge is not None
    edge.state = "suspect"
    assert players.ask().ttl_s == 3.0


def test_clients_come_back_later_when_they_are_many() -> None:
    players = Players(*many(3))
    players.now_s += 20.0
    for _ in range(4_000):  # in 10 s: 400 a second, told to come back in 10 s: 4,000 clients
        players.now_s += 10.0 / 4_000
        players.ask()
    players.now_s += 0.1
    assert players.ask().ttl_s == pytest.approx(20, abs=2)


def test_pages_of_https_are_sent_to_https() -> None:
    safe = record_of("safe", url="https://safe.example")
    manifest = Players(record_of("plain"), safe, site_url=ORIGIN).ask()
    assert manifest.pathways == ("safe", HOME_PATHWAY)
    assert manifest.clones[0].replacement.host == "safe.example"


def test_an_explanation_names_every_edge_with_a_reason() -> None:
    players = Players(*many(7), record_of("d", duty="draining"))
    players.beat("e3", titles=("t",))
    players.kill("e4")
    places = {
        each.edge: each
        for each in players.steering.explain(
            CLIENT, "t", wall_s=players.wall_s, now_s=players.now_s
        )
    }
    assert len(places) == 8
    assert (places["e3"].place, places["e3"].holds_title) == (1, True)
    assert "holds the title" in places["e3"].reason
    assert (places["e4"].place, places["e4"].reason) == (None, "dead")
    assert places["d"].reason == "draining"
    assert sorted(each.place for each in places.values() if each.place) == [1, 2, 3, 4]
    assert players.steering.moves == dict.fromkeys(players.steering.moves, 0)


def test_the_one_edge_left_of_many_is_found() -> None:
    players = Players(*many(130))
    for index in range(130):
        edge = players.fleet.edge(f"e{index}")
        assert edge is not None
        edge.state = "dead" if index != 77 else "alive"
    for title in range(20):
        assert players.ask(f"t{title}").pathways == ("e77", HOME_PATHWAY)


def test_well_edges_of_a_large_group_come_before_full_ones() -> None:
    players = Players(*many(60))
    well = {"e7", "e21", "e40", "e59"}
    for index in range(60):
        players.beat(f"e{index}", load=0.1 if f"e{index}" in well else 1.2)
    for title in range(20):
        assert set(players.ask(f"t{title}").pathways) == {*well, HOME_PATHWAY}
