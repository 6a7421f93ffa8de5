"""Where a URL's bytes are: what the manifest, the settings and a steering server say, in order.

A *group* is bases under which the same bytes are. Content steering calls each base by its pathway
and gives the pathways' order; a pathway that no manifest names is a *clone*: a base like another
one, at another host. What no order names comes last, and is not left out: as long as something
may have the bytes, playback goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests import origin_of
from nearcast.manifests.limits import join
from nearcast.media import Base
from nearcast.steering import PathwayClone

Rank = tuple[int, float]

OPTION_COUNT_MAX = 8
"""So many places are tried for one URL, whatever the manifest lists."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """`params` are set in the query of the URL itself, and where `is_deep` of all below it."""

    base: Base
    params: Mapping[str, str] = {}
    is_deep: bool = False

    def itself(self) -> str:
        return with_params(self.base.url, self.params)

    def below(self, rest: str) -> str:
        url = _folder(self.base.url) + rest
        return with_params(url, self.params) if self.is_deep else url


class Places:
    """Of one title. `rank` orders the bases of a group where no steering does."""

    def __init__(self, url: str, fallback: Iterable[str], rank: Callable[[Base], Rank]) -> None:
        self._rank = rank
        scheme = urlsplit(url).scheme
        self._fallback = tuple(
            each.rstrip("/") if "://" in each else f"{scheme}://{each}" for each in fallback
        )
        self._alike: tuple[str, ...] = ()
        """Origins with the same paths, the preferred one first."""
        self.alike: tuple[str, ...] = ()
        """Their `host:port`, for the manifest to refer to."""
        self._learnt: list[tuple[Base, ...]] = []
        self._groups: list[tuple[_Place, ...]] = []
        self._order: dict[str, int] = {}
        self._clones: tuple[PathwayClone, ...] = ()
        self._has_deep_params = False
        self.found_at(url)

    def found_at(self, url: str) -> None:
        """The manifest is here: what it refers to is at the fallback hosts as well."""
        if not self._fallback:
            return
        known = {origin_of(each) for each in self._alike}
        if origin_of(url) not in known:
            parts = urlsplit(url)
            self._alike = (f"{parts.scheme}://{parts.netloc}", *self._fallback)
        self.alike = tuple(urlsplit(each).netloc for each in self._alike)

    def learn(self, groups: Iterable[Sequence[Base]]) -> None:
        """Each group is bases under which the same bytes are, the first that of the manifest's own
        URLs."""
        self._learnt += [tuple(group) for group in groups if group]
        self._arrange()

    def steer(
        self, pathways: Sequence[str], clones: Sequence[PathwayClone], *, has_deep_params: bool
    ) -> None:
        """The order of the pathways, the best first. `has_deep_params`: what a clone adds to a
        query goes with all URLs below its base (DASH), not with playlists alone (HLS)."""
        self._order = {each: index for index, each in enumerate(pathways)}
        self._clones = tuple(clones)
        self._has_deep_params = has_deep_params
        self._arrange()

    def options(self, url: str) -> tuple[str, ...]:
        """The places where `url` can be had, the preferred first; at least itself."""
        if not self._groups and not self._alike:
            return (url,)
        places = self._in_groups(url)
        if self._alike:
            homes = {origin_of(each) for each in self._alike}
            places = [
                f"{home}{_after_origin(place)}"
                for place in places
                for home in (self._alike if origin_of(place) in homes else (_origin_text(place),))
            ]
        found = tuple(dict.fromkeys(places))
        if self._order and url not in found[:OPTION_COUNT_MAX]:
            return (*found[: OPTION_COUNT_MAX - 1], url)  # whose host may be the only one left
        return found[:OPTION_COUNT_MAX]

    def pathway_of(self, url: str) -> str:
        """The pathway that a place which `options` gave is of; empty where it has no name."""
        best, longest = "", 0
        for group in self._groups:
            for place in group:
                stem = place.base.url if url.startswith(place.base.url) else _folder(place.base.url)
                if len(stem) > longest and url.startswith(stem):
                    best, longest = place.base.pathway, len(stem)
        return best

    def _in_groups(self, url: str) -> list[str]:
        for group in self._groups:
            for place in group:
                if url == place.base.url:
                    return [each.itself() for each in group]
        best: list[str] = [url]
        longest = 0
        for group in self._groups:
            for place in group:
                folder = _folder(place.base.url)
                if len(folder) > longest and url.startswith(folder):
                    longest = len(folder)
                    best = [each.below(url[len(folder) :]) for each in group]
        return best

    def _arrange(self) -> None:
        groups = [*self._learnt, *self._roots()]
        self._groups = [tuple(self._ordered(group)) for group in groups]

    def _ordered(self, group: Sequence[Base]) -> list[_Place]:
        last = len(self._order)
        places = [_Place(base=base) for base in group]
        places += self._cloned(places)
        return sorted(
            places,
            key=lambda each: (self._order.get(each.base.pathway, last), self._rank(each.base)),
        )

    def _cloned(self, places: Sequence[_Place]) -> Iterator[_Place]:
        known = {each.base.pathway: each for each in reversed(places)}
        for clone in self._clones:
            origin = known.get(clone.base_id)
            if origin is None or clone.id in known:
                continue
            url = clone_url(origin.base, clone)
            if url is None:
                continue
            known[clone.id] = made = _Place(
                base=msgspec.structs.replace(origin.base, url=url, pathway=clone.id),
                params={**origin.params, **clone.replacement.params},
                is_deep=self._has_deep_params,
            )
            yield made

    def _roots(self) -> Iterator[tuple[Base, ...]]:
        """The hosts of what is cloned: what is beside the bases there is beside the clones too."""
        if not self._clones:
            return
        bases = {clone.base_id for clone in self._clones}
        seen: dict[str, Base] = {}
        for group in self._learnt:
            for base in group:
                if base.pathway in bases:
                    root = _origin_text(base.url) + "/"
                    seen.setdefault(root, Base(url=root, pathway=base.pathway))
        for base in seen.values():
            yield (base,)


def clone_url(base: Base, clone: PathwayClone) -> str | None:
    """`base` in the clone, its parameters left aside; None where the clone has none.

    A URI given for the playlist by name is taken as it is, otherwise the host is replaced
    (draft-pantos-hls-rfc8216bis, 7.3). Nothing leads from https to http.
    """
    rules = clone.replacement
    url = base.url
    given = base.stable_id and (
        rules.variant_uris.get(base.stable_id) or rules.rendition_uris.get(base.stable_id)
    )
    if given:
        url = given
    elif rules.host:
        url = f"{urlsplit(url).scheme}://{rules.host}{_after_origin(url)}"
    try:
        made = join(url, "")
    except (RemoteProtocolError, ValueError):
        return None  # such as a port that is none
    is_worse = urlsplit(base.url).scheme == "https" and urlsplit(made).scheme != "https"
    return None if is_worse else made


def with_params(url: str, params: Mapping[str, str]) -> str:
    """`url` with `params` set in its query; its own of other names stay as they are."""
    if not params:
        return url
    base, _, query = url.partition("?")
    kept = [
        pair
        for pair in query.split("&")
        if pair and not any(name in params for name, _ in parse_qsl(pair, keep_blank_values=True))
    ]
    kept += [f"{quote(name, safe='')}={quote(params[name], safe='')}" for name in sorted(params)]
    return f"{base}?{'&'.join(kept)}"


def _folder(url: str) -> str:
    """Up to the last slash of the path."""
    return url[: url.partition("?")[0].rindex("/") + 1]


def _after_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _origin_text(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
