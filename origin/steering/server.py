"""What a steering server answers, decided without I/O.

An answer names up to four edges as clones of the origin's pathway (see `clones`), then `home` and
the origin, which need no clone: there is always one that lives. A client that is well where it is
stays there, whatever the ranking would say of a new one; it is moved for one of the reasons in
`moves`. What it tried it brings along in the URL it asks (see `tried`); all that is remembered here
of clients is what those of a network measured, for ten minutes (see `throughput`).

Clients ask again after `ttl_s`; sooner while an edge near them is suspect or came back lately, and
later when they are so many that this origin would answer more than 200 of them a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode

import google_crc32c

from nearcast.hashing import key_of
from nearcast.steering import (
    HOME_PATHWAY,
    QUERY_LENGTH_MAX,
    SteeringManifest,
    encode,
    read_query,
)
from origin.fleet import Fleet, WatchedEdge
from origin.steering.asked import (
    BASE,
    LISTED,
    RENDITIONS,
    VARIANTS,
    read_asked,
    steering_url,
    write_asked,
)
from origin.steering.choice import moved, noted, pathways_used
from origin.steering.clones import NamedEdge, clones_of
from origin.steering.explanation import EdgePlace, place_of, why
from origin.steering.moves import MOVES, Place
from origin.steering.networks import Group, Nearness, Networks
from origin.steering.pace import TTL_S, Pace
from origin.steering.ranking import LOOKED_AT, Wish, candidates, looked_at, unusable
from origin.steering.rules import Candidate
from origin.steering.throughput import NetworkThroughput
from origin.steering.tried import ARGUMENT, Tried, read_tried, write_tried

EDGES_MAX: Final = 4
"""In an answer; and the pathways of the manifest."""
TROUBLED_S: Final = 30.0
"""After an edge near a client changed its state."""
KEPT_QUERY_MAX: Final = 500
"""Other arguments of the URL a client asks go into the next one: a token, perhaps."""
_OF_PLAYERS: Final = ("_HLS_pathway", "_HLS_throughput", "_DASH_pathway", "_DASH_throughput")
_OURS: Final = frozenset((ARGUMENT, BASE, VARIANTS, RENDITIONS, LISTED, *_OF_PLAYERS))


class Steering:
    """Ranks a fleet's edges for clients."""

    def __init__(self, fleet: Fleet, *, ttl_s: float = TTL_S) -> None:
        self._fleet = fleet
        self._pace = Pace(ttl_s)
        self._networks = Networks()
        self._throughput = NetworkThroughput()
        self._generation = -1
        self.moves: dict[str, int] = {move.name: 0 for move in MOVES} | {"new": 0}
        """How many answers sent a client elsewhere than it was, by reason. `new`: from home."""

    @property
    def answered(self) -> int:
        return self._pace.answered

    def answer(
        self,
        client: str,
        title: str,
        query: str,
        *,
        wall_s: float,
        now_s: float,
        scheme: str = "",
        origin_url: str = "",
    ) -> bytes:
        """The steering manifest for the client at an address. `query` is that of its request,
        `origin_url` this origin as players reach it."""
        measured = read_query(query)
        said, kept = _arguments(query)
        asked = read_asked(said)
        tried = noted(read_tried(said.get(ARGUMENT, ""), wall_s), measured, wall_s)
        used = pathways_used(tried, measured)
        wish = self._wish(client, title, scheme, now_s)
        near = self._near(client, wish, used)
        self._learn(client, tried, used, now_s)
        edges, tried = self._order(near, wish, used, tried, wall_s)
        ttl_s = self._ttl(near, now_s)
        offered = [each.edge.edge for each in edges]
        remembered = write_tried(tried)
        again = _query(kept, write_asked(asked), remembered)
        return encode(
            SteeringManifest(
                ttl_s=ttl_s,
                # Absolute: Shaka resolves no other.
                reload_uri=steering_url(origin_url, title, again) if remembered else "",
                pathways=tuple(dict.fromkeys((*offered, HOME_PATHWAY, asked.base))),
                clones=tuple(
                    clone
                    for each in edges
                    if each.edge.edge not in asked.listed
                    for clone in clones_of(
                        each.edge.edge, each.edge.record.profile.url, title, asked, origin_url
                    )
                ),
            )
        )

    def _learn(
        self, client: str, tried: tuple[Tried, ...], used: tuple[str, ...], now_s: float
    ) -> None:
        """What the client measured where it is, for others of its network."""
        here = tried[0] if tried else None
        if here is None or here.edge != used[0] or here.throughput_kbps <= 0:
            return
        if self._fleet.edge(here.edge) is not None:
            self._throughput.measured(client, here.edge, here.throughput_kbps, now_s)

    def _wish(self, client: str, title: str, scheme: str, now_s: float) -> Wish:
        return wish_of(client, title, scheme, slower=self._throughput.slower(client, now_s))

    def edges_for(
        self, client: str, title: str, *, wall_s: float, now_s: float, scheme: str = ""
    ) -> tuple[NamedEdge, ...]:
        """Those that a client that begins would be offered, the best first. Moves nobody."""
        wish = self._wish(client, title, scheme, now_s)
        here = (HOME_PATHWAY,)
        near = self._near(client, wish, here)
        edges, _ = self._order(near, wish, here, (), wall_s, counts=False)
        return tuple(NamedEdge(one.edge.edge, one.edge.record.profile.url) for one in edges)

    def explain(
        self,
        client: str,
        title: str,
        *,
        query: str = "",
        wall_s: float,
        now_s: float,
        scheme: str = "",
    ) -> tuple[EdgePlace, ...]:
        """All edges near the client, those offered first, with reasons. Moves nobody."""
        measured = read_query(query)
        said, _ = _arguments(query)
        tried = noted(read_tried(said.get(ARGUMENT, ""), wall_s), measured, wall_s)
        used = pathways_used(tried, measured)
        wish = self._wish(client, title, scheme, now_s)
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
        known = {each.edge.edge: each for each in near}
        here = next((known[name] for name in used if name in known), None)
        if here is None:
            first, move, is_pushed = near[0], "new" if used[0] == HOME_PATHWAY else "out", False
        else:
            place = Place(here=here, near=near, wish=wish, tried=tried, wall_s=wall_s)
            first, move, is_pushed = _moved_from(place)
        if counts and move:
            self.moves[move] += 1
        rest = [each for each in near if each is not first]
        if is_pushed:
            # Where it is to leave comes after those it may go to.
            rest.sort(key=lambda each: each.edge.edge in used)
        return [first, *rest][:EDGES_MAX], moved(tried, first.edge.edge, wall_s)

    def _ttl(self, near: list[Candidate], now_s: float) -> float:
        is_troubled = any(
            each.standing == "suspect" or now_s - each.edge.changed_s < TROUBLED_S for each in near
        )
        return self._pace.ttl_s(is_troubled=is_troubled, now_s=now_s)


def _moved_from(place: Place) -> tuple[Candidate, str, bool]:
    """Where a client goes by the first reason that holds, the reason, and whether it is pushed;
    or that it stays."""
    for move in MOVES:
        found = move.to(place)
        if found is not None:
            return found, move.name, move.is_pushed
    return place.here, "", False


def wish_of(
    client: str, title: str, scheme: str = "", *, slower: frozenset[str] = frozenset()
) -> Wish:
    # Half a surrogate pair, as a path may have it, is nothing that can be hashed.
    title = title.encode(errors="replace").decode()
    return Wish(
        title_key=key_of(f"title/{title}"),
        client_key=key_of(f"client/{client}"),
        title_crc=google_crc32c.value(title.encode()),
        scheme=scheme,
        slower=slower,
    )


def _arguments(query: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Our own arguments, the first of each name, and those that are not ours."""
    if len(query) > QUERY_LENGTH_MAX:
        return {}, []
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return {}, []
    said: dict[str, str] = {}
    for name, value in pairs:
        if name in _OURS:
            said.setdefault(name, value)
    return said, [(name, value) for name, value in pairs if name not in _OURS]


def _query(kept: list[tuple[str, str]], asked: str, remembered: str) -> str:
    others = urlencode(kept)
    if len(others) > KEPT_QUERY_MAX:
        others = ""
    return "&".join(filter(None, (others, asked, f"{ARGUMENT}={remembered}")))
