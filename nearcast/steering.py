"""What a steering server and a player tell each other: content steering for HLS and for DASH.

A player asks the server that a manifest names (`#EXT-X-CONTENT-STEERING:SERVER-URI=`, or the MPD's
`<ContentSteering>`), with the pathway it is on and what it measured there, and again when the TTL
is over. The answer is one JSON object for both:

    {"VERSION": 1, "TTL": 10, "RELOAD-URI": "...",
     "PATHWAY-PRIORITY": ["ams1", "home", "_origin"],
     "PATHWAY-CLONES": [{"BASE-ID": "_origin", "ID": "ams1",
                         "URI-REPLACEMENT": {"HOST": "ams1.example", "PARAMS": {}}}]}

Everybody's manifest names two pathways: `home`, wherever it came from, by relative URLs; and
`_origin`, by absolute ones. Edges are offered as clones of the latter, which a player makes by
putting the edge's host in place of the origin's. So manifests stay the same for all clients and an
edge that joins needs no new ones; the two end every list, so there is always a pathway that needs
no clone. Three that differ: for DASH each edge is a clone of `home` as well, as dash.js knows of
that alone; manifests of versions before name `home` alone and get clones of it; and a manifest for
one client (`/v1/play/`) names edges as pathways of their own, then `_origin`, and no `home`.
Shaka (5.2) can replace the host of absolute URLs alone, and steers HLS only where each variant is
listed more than once: hence the second pathway (docs/adr/0018-two-pathways.md).

HLS: draft-pantos-hls-rfc8216bis, section 7 "Content Steering", and 4.4.6.6 for the tag. DASH: ETSI
TS 103 998. Reading is tolerant where both ask for it: unknown keys are ignored, an entry that is
not legal is left out, and what is left must have a pathway. The bounds are ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.units import BITS_PER_KBIT

STEERING_VERSION: Final = 1
HOME_PATHWAY: Final = "home"
"""Where the manifest came from."""
ORIGIN_PATHWAY: Final = "_origin"
"""The origin, as players reach it. No edge has such a name."""
TTL_S_DEFAULT: Final = 300.0
"""Where an answer says nothing."""
TTL_S_MIN: Final = 1.0
"""Whatever an answer says: a player does not ask all the time."""
TTL_S_MAX: Final = 86_400.0

MANIFEST_BYTES_MAX: Final = 256 * 1024
PATHWAYS_MAX: Final = 64
CLONES_MAX: Final = 64
REPLACEMENTS_MAX: Final = 256
"""Of parameters, and of URIs by stable id, of one clone."""
PATHWAY_LENGTH_MAX: Final = 128
URI_LENGTH_MAX: Final = 2_000
QUERY_LENGTH_MAX: Final = 4_000
MEASURED_MAX: Final = 16
THROUGHPUT_BITS_PER_S_MAX: Final = 1e13

# rfc8216bis: a Pathway ID has characters of this set alone.
_PATHWAY = re.compile(rf"[A-Za-z0-9._-]{{1,{PATHWAY_LENGTH_MAX}}}")
_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
)
_URI = re.compile(r"https?://[^/?#\s@]+[^\s]*")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


class UriReplacement(msgspec.Struct, frozen=True, kw_only=True):
    """How the URIs of a clone are made of its base's."""

    host: str = ""
    """HOST: in place of host and port; empty: they stay. The scheme always stays. The draft says
    "hostname", which hls.js, Shaka and video.js set, so that the port stays and a HOST with one
    changes nothing; dash.js puts what it is given in place of both, as we do."""
    params: Mapping[str, str] = {}
    """PARAMS: set in the query."""
    variant_uris: Mapping[str, str] = {}
    """PER-VARIANT-URIS: by STABLE-VARIANT-ID, instead of the others. HLS alone."""
    rendition_uris: Mapping[str, str] = {}
    """PER-RENDITION-URIS: by STABLE-RENDITION-ID."""


class PathwayClone(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    base_id: str = HOME_PATHWAY
    replacement: UriReplacement


class SteeringManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a steering server."""

    ttl_s: float = TTL_S_DEFAULT
    reload_uri: str = ""
    """Where to ask next time, perhaps relative to where this came from; empty: there again."""
    pathways: tuple[str, ...]
    """PATHWAY-PRIORITY, the best first. Each once, and at least one."""
    clones: tuple[PathwayClone, ...] = ()


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of one pathway it used since it last asked."""

    pathway: str
    throughput_kbps: float | None = None


def is_pathway(text: object) -> bool:
    return isinstance(text, str) and _PATHWAY.fullmatch(text) is not None


def encode(manifest: SteeringManifest) -> bytes:
    """As JSON, keys in the order of the specification."""
    wire: dict[str, object] = {"VERSION": STEERING_VERSION, "TTL": math.ceil(manifest.ttl_s)}
    if manifest.reload_uri:
        wire["RELOAD-URI"] = manifest.reload_uri
    wire["PATHWAY-PRIORITY"] = manifest.pathways
    if manifest.clones:
        wire["PATHWAY-CLONES"] = [_clone_wire(clone) for clone in manifest.clones]
    return msgspec.json.encode(wire)


def decode(body: bytes) -> SteeringManifest:
    """What `body` says. Raises RemoteProtocolError where no player can make use of it."""
    if len(body) > MANIFEST_BYTES_MAX:
        raise RemoteProtocolError(
            f"steering manifest of {len(body)} bytes: at most {MANIFEST_BYTES_MAX} are read"
        )
    try:
        wire = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"steering manifest is not JSON: {error}") from error
    if not isinstance(wire, dict):
        raise RemoteProtocolError("steering manifest is not a JSON object")
    version = wire.get("VERSION")
    if isinstance(version, bool) or version != STEERING_VERSION:
        raise RemoteProtocolError(f"steering manifest of version {version!r:.40}; 1 is known")
    # DASH-IF's draft before TS 103 998 called the list SERVICE-LOCATION-PRIORITY.
    listed = wire.get("PATHWAY-PRIORITY", wire.get("SERVICE-LOCATION-PRIORITY"))
    pathways = tuple(dict.fromkeys(filter(is_pathway, _items(listed))))[:PATHWAYS_MAX]
    if not pathways:
        raise RemoteProtocolError("steering manifest names no legal pathway in PATHWAY-PRIORITY")
    return SteeringManifest(
        ttl_s=_ttl_s(wire.get("TTL")),
        reload_uri=_reload_uri(wire.get("RELOAD-URI")),
        pathways=pathways,
        clones=_clones(wire.get("PATHWAY-CLONES")),
    )


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _ttl_s(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return TTL_S_DEFAULT
    return float(min(max(value, TTL_S_MIN), TTL_S_MAX))


def _reload_uri(value: object) -> str:
    if not isinstance(value, str) or len(value) > URI_LENGTH_MAX or _CONTROL.search(value):
        return ""
    return value


def _clones(value: object) -> tuple[PathwayClone, ...]:
    """The legal ones, each id once, the first of that id."""
    clones: dict[str, PathwayClone] = {}
    for item in _items(value)[: 4 * CLONES_MAX]:
        if not isinstance(item, dict):
            continue
        base_id, clone_id = item.get("BASE-ID"), item.get("ID")
        replacement = _replacement(item.get("URI-REPLACEMENT"))
        if (
            isinstance(base_id, str)
            and isinstance(clone_id, str)
            and is_pathway(base_id)
            and is_pathway(clone_id)
            and replacement is not None
            and clone_id not in clones
        ):
            clones[clone_id] = PathwayClone(id=clone_id, base_id=base_id, replacement=replacement)
    return tuple(clones.values())[:CLONES_MAX]


def _replacement(value: object) -> UriReplacement | None:
    """None where it is not legal: a clone made of half of it would ask the wrong place."""
    if not isinstance(value, dict):
        return None
    host = value.get("HOST", "")
    if not isinstance(host, str) or (host and _HOST.fullmatch(host) is None):
        return None
    params = _texts(value.get("PARAMS"), _NAME)
    variant_uris = _texts(value.get("PER-VARIANT-URIS"), _URI)
    rendition_uris = _texts(value.get("PER-RENDITION-URIS"), _URI)
    if params is None or variant_uris is None or rendition_uris is None:
        return None
    return UriReplacement(
        host=host, params=params, variant_uris=variant_uris, rendition_uris=rendition_uris
    )


def _texts(value: object, pattern: re.Pattern[str]) -> dict[str, str] | None:
    """`value` as texts by name, all of which are legal; None otherwise. Nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > REPLACEMENTS_MAX:
        return None
    for name, text in value.items():
        # An empty value of a parameter is legal; of an URI it is not.
        fits = isinstance(text, str) and len(text) <= URI_LENGTH_MAX
        if not fits or not (pattern.fullmatch(text) or (pattern is _NAME and text == "")):
            return None
        if _NAME.fullmatch(name) is None:
            return None
    return value


def _clone_wire(clone: PathwayClone) -> dict[str, object]:
    replacement = clone.replacement
    rules: dict[str, object] = {}
    if replacement.host:
        rules["HOST"] = replacement.host
    # Also when it is empty: video.js 8 takes it for given.
    rules["PARAMS"] = replacement.params
    if replacement.variant_uris:
        rules["PER-VARIANT-URIS"] = replacement.variant_uris
    if replacement.rendition_uris:
        rules["PER-RENDITION-URIS"] = replacement.rendition_uris
    return {"BASE-ID": clone.base_id, "ID": clone.id, "URI-REPLACEMENT": rules}


def with_query(url: str, measured: tuple[Measured, ...], protocol: str) -> str:
    """`url` with what a client adds when it asks; `protocol` is `HLS` or `DASH`.

    HLS names the pathway it is on and what it measured, in bit/s, both as the draft writes them;
    DASH lists all pathways used since it last asked, quoted, and a number for each.
    """
    said = measured[:MEASURED_MAX] if protocol == "DASH" else measured[-1:]
    if not said:
        return url
    quoted = quote('"' + ",".join(one.pathway for one in said) + '"', safe="")
    arguments = f"_{protocol}_pathway={quoted}"
    if any(one.throughput_kbps is not None for one in said):
        numbers = ",".join(
            "" if one.throughput_kbps is None else str(round(one.throughput_kbps * BITS_PER_KBIT))
            for one in said
        )
        arguments += f"&_{protocol}_throughput={numbers}"
    base, hash_sign, fragment = url.partition("#")
    glue = "&" if urlsplit(base).query else "?"
    return f"{base.removesuffix('?')}{glue}{arguments}{hash_sign}{fragment}"


def read_query(query: str) -> tuple[Measured, ...]:
    """What a client said in `query` (without `?`), the pathway it is on last. Never raises.

    Takes either protocol's arguments, with or without the quotes, and lists as dash.js sends them;
    numbers that are none are left out, pathways that are none end the reading of their list.
    """
    if len(query) > QUERY_LENGTH_MAX:
        return ()
    said: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return ()
    for name, value in pairs:
        said.setdefault(name, value)
    for protocol in ("HLS", "DASH"):
        pathways = said.get(f"_{protocol}_pathway")
        if pathways is not None:
            numbers = said.get(f"_{protocol}_throughput", "").split(",")
            return _measured(pathways.strip('"').split(","), numbers)
    return ()


def _measured(pathways: list[str], numbers: list[str]) -> tuple[Measured, ...]:
    measured: list[Measured] = []
    for index, quoted in enumerate(pathways[:MEASURED_MAX]):
        pathway = quoted.strip(' "')
        if not is_pathway(pathway):
            break
        number = numbers[index].strip(' "') if index < len(numbers) else ""
        bits_per_s = float(number) if re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{0,9})?", number) else 0
        is_known = 0 < bits_per_s <= THROUGHPUT_BITS_PER_S_MAX
        measured.append(
            Measured(
                pathway=pathway, throughput_kbps=bits_per_s / BITS_PER_KBIT if is_known else None
            )
        )
    return tuple(measured)
