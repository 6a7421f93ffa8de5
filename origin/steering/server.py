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
from urllib.parse import urlsplit

import msgspec

from nearcast.steering import HOME_PATHWAY, SteeringManifest, encode
from origin.fleet import Fleet, WatchedEdge
from origin.steering.asked import steering_url
from origin.steering.choice import moved
from origin.steering.clones import NamedEdge, clones_of
from origin.steering.explanation import EdgePlace, place_of, why
from origin.steering.moves import MOVES, Place
from origin.steering.networks import Group, Nearness, Networks
from origin.steering.pace import TTL_S, Pace
from origin.steering.question import Question, next_query, read_question
from origin.steering.ranking import LOOKED_AT, candidates, looked_at, unusable
from origin.steering.rules import Candidate, order_of
from origin.steering.throughput import NetworkThroughput
from origin.steering.wish import Wish, wish_of

EDGES_MAX: Final = 4
"""In an answer; and the pathways of the manifest."""
TROUBLED_S: Final = 30.0
"""After an edge near a client changed its state."""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A client that asks, and what is near it, the best first."""

    question: Question
    wish: Wish
    near: list[Candidate]


class Steering:
    """Ranks a fleet's edges for clients. `site_url` is this origin as players reach it; only edges
    of its scheme are offered. Empty: it is not known, and any edge is."""

    def __init__(self, fleet: Fleet, *, site_url: str = "", ttl_s: float = TTL_S) -> None:
        self._fleet = fleet
        self._site_url = site_url
        self._scheme = urlsplit(site_url).scheme
        self._pace = Pace(ttl_s)
        self._networks = Networks()
        self._throughput = NetworkThroughput()
        self._generation = -1
        self.moves: dict[str, int] = {move.name: 0 for move in MOVES}
        """How many answers sent a client elsewhere than it was, by reason. `new`: from home."""

    @property
    def answered(self) -> int:
        return self._pace.answered

    def answer(self, client: str, title: str, query: str, *, wall_s: float, now_s: float) -> bytes:
        """The steering manifest for the client at an address. `query` is that of its request."""
        seen = self._seen(client, title, query, wall_s, now_s)
        question = seen.question
        self._learn(client, question, now_s)
        edges = self._order(seen, wall_s)
        offered = [_named(each) for each in edges]
        reload_uri = ""
        if offered:
            again = next_query(question, moved(question.tried, offered[0].id, wall_s))
            # Absolute: Shaka resolves no other.
            reload_uri = steering_url(self._site_url, title, again)
        return encode(
            SteeringManifest(
                ttl_s=self._ttl(seen.near, now_s),
                reload_uri=reload_uri,
                pathways=tuple(
                    dict.fromkeys(
                        (*(edge.id for edge in offered), HOME_PATHWAY, question.asked.base)
                    )
                ),
                clones=tuple(
                    clone
                    for edge in offered
                    if edge.id not in question.asked.listed
                    for clone in clones_of(edge, title, question.asked, self._site_url)
                ),
            )
        )

    def edges_for(
        self, client: str, title: str, *, wall_s: float, now_s: float
    ) -> tuple[NamedEdge, ...]:
        """Those that a client that begins would be offered, the best first. Moves nobody."""
        seen = self._seen(client, title, "", wall_s, now_s)
        return tuple(_named(each) for each in self._order(seen, wall_s, counts=False))

    def explain(
        self, client: str, title: str, *, query: str = "", wall_s: float, now_s: float
    ) -> tuple[EdgePlace, ...]:
        """All edges near the client, those offered first, with reasons. Moves nobody."""
        seen = self._seen(client, title, query, wall_s, now_s)
        edges = self._order(seen, wall_s, counts=False)
        here = seen.question.used[0]
        places = [
            place_of(each, index + 1, why(each, seen.wish, index, here))
            for index, each in enumerate(edges)
        ]
        named = {each.edge.edge for each in edges}
        places += [
            place_of(each, None, f"{EDGES_MAX} are better")
            for each in seen.near
            if each.edge.edge not in named
        ]
        looked = {each.edge.edge for each in seen.near}
        return (*places, *self._left_out(client, seen.wish, looked))

    def _seen(self, client: str, title: str, query: str, wall_s: float, now_s: float) -> _Seen:
        question = read_question(query, wall_s)
        slower = self._throughput.slower(client, now_s)
        wish = wish_of(client, title, self._scheme, slower=slower)
        return _Seen(question=question, wish=wish, near=self._near(client, wish, question.used))

    def _learn(self, client: str, question: Question, now_s: float) -> None:
        """What the client measured where it is, for others of its network."""
        here = question.tried[0] if question.tried else None
        if here is None or here.edge != question.used[0] or here.throughput_kbps <= 0:
            return
        if self._fleet.edge(here.edge) is not None:
            self._throughput.measured(client, here.edge, here.throughput_kbps, now_s)

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
        return sorted(found, key=lambda each: order_of(each, wish))

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

    def _order(self, seen: _Seen, wall_s: float, *, counts: bool = True) -> list[Candidate]:
        """The edges to offer, where the client is to be first."""
        near, used = seen.near, seen.question.used
        if not near:
            return []
        known = {each.edge.edge: each for each in near}
        place = Place(
            here=next((known[name] for name in used if name in known), None),
            is_new=used[0] == HOME_PATHWAY,
            near=near,
            wish=seen.wish,
            tried=seen.question.tried,
            wall_s=wall_s,
        )
        first, move, is_pushed = _moved_from(place)
        if counts and move:
            self.moves[move] += 1
        rest = [each for each in near if each is not first]
        if is_pushed:
            # Where it is to leave comes after those it may go to.
            rest.sort(key=lambda each: each.edge.edge in used)
        return [first, *rest][:EDGES_MAX]

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
    return place.edge, "", False


def _named(each: Candidate) -> NamedEdge:
    return NamedEdge(each.edge.edge, each.edge.record.profile.url)
