"""What a steering server answers, decided without I/O and without memory of clients.

An answer names up to four edges as clones of `home`, and `home` last (see nearcast.steering). A
client that is well where it is stays there, whatever the ranking would say of a new one; it is
moved when its edge is out, when it is one of those that a full edge lets go or that a nearer one
calls back, or when it is slow there (see `choice`). What it tried it brings along in the URL it
asks (see `tried`).

Clients ask again after `ttl_s`; sooner while an edge near them is suspect or came back lately, and
later when they are so many that this origin would answer more than 200 of them a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import google_crc32c

from nearcast.hashing import key_of
from nearcast.steering import (
    HOME_PATHWAY,
    QUERY_LENGTH_MAX,
    TTL_S_DEFAULT,
    PathwayClone,
    SteeringManifest,
    UriReplacement,
    encode,
    read_query,
)
from origin.fleet import Fleet, WatchedEdge
from origin.steering.choice import faster_place, moved, noted, pathways_used
from origin.steering.explanation import EdgePlace, place_of, why
from origin.steering.networks import NEARNESSES, Group, Nearness, Networks
from origin.steering.ranking import (
    LOOKED_AT,
    Candidate,
    Wish,
    candidates,
    is_shed,
    is_welcome,
    looked_at,
    unusable,
)
from origin.steering.tried import ARGUMENT, Tried, read_tried, write_tried

EDGES_MAX: Final = 4
"""In an answer; and `home`."""
TTL_S: Final = 10.0
TTL_S_TROUBLED: Final = 3.0
TROUBLED_S: Final = 30.0
"""After an edge near a client changed its state."""
ANSWERS_PER_S_MAX: Final = 200.0
RATE_WINDOW_S: Final = 10.0
KEPT_QUERY_MAX: Final = 500
"""Other arguments of the URL a client asks go into the next one: a token, perhaps."""
_OURS: Final = frozenset(
    (ARGUMENT, "_HLS_pathway", "_HLS_throughput", "_DASH_pathway", "_DASH_throughput")
)


class Steering:
    """Ranks a fleet's edges for clients."""

    def __init__(self, fleet: Fleet, *, ttl_s: float = TTL_S) -> None:
        self._fleet = fleet
        self._ttl_s = ttl_s
        self._networks = Networks()
        self._generation = -1
        self._clients = 0.0  # estimated from what is asked and how soon they come back
        self._window_s = 0.0
        self._promised_s = 0.0
        self.answered = 0
        self.moves: dict[str, int] = {"out": 0, "shed": 0, "slow": 0, "nearer": 0, "new": 0}
        """How many answers sent a client elsewhere than it was, by reason. `new`: from home."""

    def answer(
        self,
        client: str,
        title: str,
        query: str,
        *,
        wall_s: float,
        now_s: float,
        scheme: str = "",
    ) -> bytes:
        """The steering manifest for the client at an address. `query` is that of its request."""
        measured = read_query(query)
        given, kept = _arguments(query)
        tried = noted(read_tried(given, wall_s), measured, wall_s)
        used = pathways_used(tried, measured)
        wish = wish_of(client, title, scheme)
        near = self._near(client, wish, used)
        edges, tried = self._order(near, wish, used, tried, wall_s)
        ttl_s = self._ttl(near, now_s)
        offered = [each.edge.edge for each in edges]
        remembered = write_tried(tried)
        return encode(
            SteeringManifest(
                ttl_s=ttl_s,
                reload_uri=f"?{_query(kept, remembered)}" if remembered else "",
                pathways=(*offered, HOME_PATHWAY),
                clones=tuple(_clone(each.edge) for each in edges),
            )
        )

    def explain(
        self, client: str, title: str, *, query: str = "", wall_s: float, scheme: str = ""
    ) -> tuple[EdgePlace, ...]:
        """All edges near the client, those offered first, with reasons. Moves nobody."""
        measured = read_query(query)
        given, _ = _arguments(query)
        tried = noted(read_tried(given, wall_s), measured, wall_s)
        used = pathways_used(tried, measured)
        wish = wish_of(client, title, scheme)
        near = self._near(client, wish, used)
        edges, _ = self._order(near, wish, used, tried, wall_s, counts=False)
        places = [
            place_of(each, index + 1, why(each, index, used[0])) for index, each in enumerate(edges)
        ]
        named = {each.edge.edge for each in edges}
        places += [
            place_of(each, None, f"{EDGES_MAX} are better")
            for each in near
            if each.edge.edge not in named
        ]
        return (*places, *self._left_out(client, wish, {each.edge.edge for each in near}))

    def _left_out(self, client: str, wish: Wish, looked: set[str]) -> Iterable[EdgePlace]:
        for nearness, group in self._groups(client):
            for name in group.names:
                edge = self._fleet.edge(name)
                if edge is not None and name not in looked:
                    looked.add(name)
                    (each,) = candidates([edge], nearness, wish)
                    out = unusable(edge, wish.scheme)
                    yield place_of(each, None, out or "enough edges are nearer, or draw higher")

    # Who is near.

    def _groups(self, client: str) -> list[tuple[Nearness, Group]]:
        if self._generation != self._fleet.generation:
            self._generation = self._fleet.generation
            self._networks.rebuild({edge.edge: edge.record.profile for edge in self._fleet.edges()})
        return self._networks.groups(client)

    def _near(self, client: str, wish: Wish, used: tuple[str, ...]) -> list[Candidate]:
        """Usable edges in order, from as many groups as it takes to fill an answer with good
        ones. Those the client used are among them if their group is."""
        found: list[Candidate] = []
        seen: set[str] = set()
        good = 0
        for nearness, group in self._groups(client):
            fresh: list[Candidate] = []
            for count in LOOKED_AT:
                names = looked_at(group, wish, count)
                names = (*names, *(name for name in used if name in group.members))
                fresh += candidates(self._usable(names, seen, wish), nearness, wish)
                here = sum(1 for each in fresh if each.standing == "good")
                if here >= EDGES_MAX or count >= len(group.names):
                    break
                if fresh and count == LOOKED_AT[-2]:
                    break  # a long look only for somebody at all
            found += fresh
            good += here
            if good >= EDGES_MAX:
                break
        return sorted(found, key=lambda each: each.order)

    def _usable(self, names: Iterable[str], seen: set[str], wish: Wish) -> list[WatchedEdge]:
        found: list[WatchedEdge] = []
        for name in names:
            if name in seen:
                continue
            seen.add(name)
            edge = self._fleet.edge(name)
            if edge is not None and not unusable(edge, wish.scheme):
                found.append(edge)
        return found

    # Who goes where.

    def _order(
        self,
        near: list[Candidate],
        wish: Wish,
        used: tuple[str, ...],
        tried: tuple[Tried, ...],
        wall_s: float,
        *,
        counts: bool = True,
    ) -> tuple[list[Candidate], tuple[Tried, ...]]:
        """The edges to offer, and what the client is to remember."""
        if not near:
            return [], ()
        first, move = self._first(near, wish, used, tried, wall_s)
        if counts and move:
            self.moves[move] += 1
        rest = [each for each in near if each is not first]
        if move in ("shed", "slow"):
            # Where it is to leave comes after those it may go to.
            rest.sort(key=lambda each: each.edge.edge in used)
        return [first, *rest][:EDGES_MAX], moved(tried, first.edge.edge, wall_s)

    def _first(
        self,
        near: list[Candidate],
        wish: Wish,
        used: tuple[str, ...],
        tried: tuple[Tried, ...],
        wall_s: float,
    ) -> tuple[Candidate, str]:
        """The edge the client should be on; and why it is moved, if it is."""
        best = near[0]
        known = {each.edge.edge: each for each in near}
        here = next((known[name] for name in used if name in known), None)
        if here is None:
            return best, "new" if used[0] == HOME_PATHWAY else "out"
        if here.standing == "suspect" and best.standing != "suspect":
            return best, "out"
        others = [each for each in near if each is not here and each.standing == "good"]
        if others and is_shed(here.edge, wish):
            return others[0], "shed"
        if (
            NEARNESSES.index(best.nearness) < NEARNESSES.index(here.nearness)
            and best.standing == "good"
            and is_welcome(best.edge, wish)
        ):
            return best, "nearer"
        equals = [each.edge.edge for each in others if each.nearness == here.nearness]
        faster = faster_place(tried, equals, wall_s)
        if faster is not None:
            return next(each for each in others if each.edge.edge == faster), "slow"
        return here, ""

    # When to come back.

    def _ttl(self, near: list[Candidate], now_s: float) -> float:
        is_troubled = any(
            each.standing == "suspect" or now_s - each.edge.changed_s < TROUBLED_S for each in near
        )
        self.answered += 1
        if now_s - self._window_s >= RATE_WINDOW_S:
            over_s = max(RATE_WINDOW_S, now_s - self._window_s)
            self._clients = self._promised_s / over_s
            self._window_s, self._promised_s = now_s, 0.0
        least_s = self._clients / ANSWERS_PER_S_MAX
        wanted_s = TTL_S_TROUBLED if is_troubled else self._ttl_s
        ttl_s = min(max(wanted_s, least_s), TTL_S_DEFAULT)
        # A client that is told to come back in 10 s stands for 10 s of one client's time.
        self._promised_s += ttl_s
        return ttl_s


def wish_of(client: str, title: str, scheme: str = "") -> Wish:
    # Half a surrogate pair, as a path may have it, is nothing that can be hashed.
    title = title.encode(errors="replace").decode()
    return Wish(
        title_key=key_of(f"title/{title}"),
        client_key=key_of(f"client/{client}"),
        title_crc=google_crc32c.value(title.encode()),
        scheme=scheme,
    )


def _arguments(query: str) -> tuple[str, list[tuple[str, str]]]:
    """What the client tried, as it says, and the arguments that are not ours."""
    if len(query) > QUERY_LENGTH_MAX:
        return "", []
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return "", []
    given = next((value for name, value in pairs if name == ARGUMENT), "")
    kept = [(name, value) for name, value in pairs if name not in _OURS]
    return given, kept


def _query(kept: list[tuple[str, str]], remembered: str) -> str:
    others = urlencode(kept)
    ours = f"{ARGUMENT}={remembered}"
    return f"{others}&{ours}" if others and len(others) <= KEPT_QUERY_MAX else ours


def _clone(edge: WatchedEdge) -> PathwayClone:
    host = urlsplit(edge.record.profile.url).netloc
    return PathwayClone(id=edge.edge, replacement=UriReplacement(host=host))
