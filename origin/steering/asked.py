"""What our manifests put into the URL that players ask, so that nothing must be looked up.

    https://origin.example/v1/steering/film?base=_origin&format=hls&variants=v1,v2&renditions=a1

`base` is the pathway that clones are made of; manifests of versions before say none, and have
`home` alone. `format` is what players are told apart by (see `clones`); `variants` and `renditions`
are an HLS master's stable ids. `listed` are edges that a manifest for one client has as pathways of
its own: video.js stalls on a clone of a name that it knows. Each answer's RELOAD-URI brings all of
it along. Whoever forges any of this steers nobody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal
from urllib.parse import quote, urlencode

import msgspec

from nearcast.steering import HOME_PATHWAY, ORIGIN_PATHWAY

STEERING_PREFIX: Final = "/v1/steering/"
"""Followed by the title's id."""
BASE: Final = "base"
VARIANTS: Final = "variants"
RENDITIONS: Final = "renditions"
LISTED: Final = "listed"
FORMAT: Final = "format"
NAMES: Final = frozenset((BASE, FORMAT, VARIANTS, RENDITIONS, LISTED))
"""All that a manifest may put there."""
IDS_LENGTH_MAX: Final = 600
"""Of both lists together; longer ones are left out."""
_IDS = re.compile(r"[A-Za-z0-9._-]{1,64}(?:,[A-Za-z0-9._-]{1,64})*")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest had that a player asks for."""

    base: str = HOME_PATHWAY
    format: Literal["hls", "dash"] = "dash"
    """Of the manifest, where `base` is not `home`."""
    variants: tuple[str, ...] = ()
    """Of HLS; none where there are too many to tell."""
    renditions: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    """Edges that need no clones."""


def steering_url(site_url: str, title: str, query: str = "") -> str:
    """Where players ask for a title; without a site relative to where they asked."""
    place = ""
    if site_url:
        name = quote(title.encode(errors="replace"), safe="")
        place = f"{site_url.rstrip('/')}{STEERING_PREFIX}{name}"
    return f"{place}?{query}" if query else place


def write_asked(asked: Asked) -> str:
    """As a query; empty for manifests of versions before."""
    if asked.base == HOME_PATHWAY:
        return ""
    said = {BASE: asked.base, FORMAT: asked.format}
    ids = {VARIANTS: ",".join(asked.variants), RENDITIONS: ",".join(asked.renditions)}
    if _are_ids(*ids.values()):
        said |= {name: value for name, value in ids.items() if value}
    if asked.listed:
        said[LISTED] = ",".join(asked.listed)
    return urlencode(said, safe=",")


def read_asked(said: Mapping[str, str]) -> Asked:
    """From the arguments of a URL that is asked. Never raises."""
    if said.get(BASE) != ORIGIN_PATHWAY:
        return Asked()
    ids = said.get(VARIANTS, ""), said.get(RENDITIONS, "")
    if not _are_ids(*ids):
        ids = "", ""
    listed = said.get(LISTED, "")
    variants, renditions, names = (
        tuple(filter(None, each.split(","))) for each in (*ids, listed if _are_ids(listed) else "")
    )
    return Asked(
        base=ORIGIN_PATHWAY,
        format="hls" if said.get(FORMAT) == "hls" else "dash",
        variants=variants,
        renditions=renditions,
        listed=names,
    )


def _are_ids(*lists: str) -> bool:
    is_short = sum(map(len, lists)) <= IDS_LENGTH_MAX
    return is_short and all(not each or _IDS.fullmatch(each) for each in lists)


def stable_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Those of which a player can be told."""
    return tuple(each for each in ids if _are_ids(each) and "," not in each)
