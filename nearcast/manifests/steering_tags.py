"""What a manifest says of content steering: where to ask, and where to begin.

HLS: `#EXT-X-CONTENT-STEERING:SERVER-URI="...",PATHWAY-ID="..."` (draft-pantos-hls-rfc8216bis,
4.4.6.6). DASH: `<ContentSteering defaultServiceLocation="..." queryBeforeStart="...">URL` below the
MPD or its ServiceDescription (ETSI TS 103 998, 5). A tag that is not legal is none: the title plays
without steering. A proxy that an MPD names for the client's own network is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from nearcast.errors import LocalProtocolError, RemoteProtocolError
from nearcast.manifests.elements import child, children, parse_xml
from nearcast.manifests.limits import join
from nearcast.steering import HOME_PATHWAY, PATHWAYS_MAX, is_pathway

SteeringProtocol = Literal["HLS", "DASH"]

HLS_TAG: Final = "#EXT-X-CONTENT-STEERING:"
_ATTRIBUTE = re.compile(r'([A-Z0-9-]{1,64})=("[^"]*"|[^",]*)(?:,|$)')
_STABLE_ID = re.compile(r"[A-Za-z0-9+/=._-]{1,255}")


class Pathway(msgspec.Struct, frozen=True, kw_only=True):
    """A way to a title's media that a manifest lists, when it is written."""

    id: str
    url: str = ""
    """The manifest's own URL by that way; empty: wherever it came from."""


HOME: Final = Pathway(id=HOME_PATHWAY)


class SteeringTag(msgspec.Struct, frozen=True, kw_only=True):
    """`server_url` is absolute; `pathways` are where to begin, the preferred one first."""

    server_url: str
    protocol: SteeringProtocol
    pathways: tuple[str, ...] = ()
    query_before_start: bool = False


def read_dash_tag(text: bytes, url: str) -> SteeringTag | None:
    """Of an MPD fetched from `url`. Raises RemoteProtocolError where that is no XML."""
    if b"ContentSteering" not in text:
        return None
    root = parse_xml(text)
    element = child(root, "ContentSteering")
    for description in children(root, "ServiceDescription"):
        if element is None:
            element = child(description, "ContentSteering")
    if element is None:
        return None
    defaults = re.split(r"[\s,]+", element.get("defaultServiceLocation") or "")
    return _tag(
        element.text or "",
        url,
        "DASH",
        defaults,
        query_before_start=(element.get("queryBeforeStart") or "").strip() in ("true", "1"),
    )


def read_hls_tag(lines: Sequence[str], url: str) -> SteeringTag | None:
    """Of the lines of a master playlist fetched from `url`."""
    line = next((each for each in lines if each.startswith(HLS_TAG)), None)
    if line is None:
        return None
    found = {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line[len(HLS_TAG) :])}
    defaults = (found["PATHWAY-ID"],) if "PATHWAY-ID" in found else ()
    return _tag(found.get("SERVER-URI", ""), url, "HLS", defaults)


def _tag(
    reference: str,
    base_url: str,
    protocol: SteeringProtocol,
    defaults: Iterable[str],
    *,
    query_before_start: bool = False,
) -> SteeringTag | None:
    reference = reference.strip()
    try:
        server_url = join(base_url, reference) if reference else ""
    except RemoteProtocolError:
        return None  # such as the data: URIs that HLS allows
    if not server_url:
        return None
    return SteeringTag(
        server_url=server_url,
        protocol=protocol,
        pathways=tuple(dict.fromkeys(filter(is_pathway, defaults)))[:PATHWAYS_MAX],
        query_before_start=query_before_start,
    )


def dash_lines(server_url: str, pathways: Sequence[Pathway]) -> tuple[str, ...]:
    """What an MPD says below its root: its pathways, where players begin with the first.

    The URL of the home pathway is relative, so that every edge may pass on the same text. Asked
    before the start: dash.js asks nothing for the first seconds otherwise, and our own player
    would begin at an edge that it leaves at once.
    """
    lines = [
        f"  <BaseURL serviceLocation={quoteattr(each.id)}>"
        f"{escape(join(each.url, './')) if each.url else './'}</BaseURL>"
        for each in pathways
    ]
    lines.append(
        f"  <ContentSteering defaultServiceLocation={quoteattr(pathways[0].id)}"
        f' queryBeforeStart="true">{escape(server_url)}</ContentSteering>'
    )
    return tuple(lines)


def hls_line(server_url: str, first: str) -> str:
    """What a master playlist says: whom to ask, and the pathway to begin with."""
    if '"' in server_url:
        raise LocalProtocolError(f"no URL for an attribute of HLS: {quoteattr(server_url)}")
    return f'{HLS_TAG}SERVER-URI="{server_url}",PATHWAY-ID="{first}"'


def hls_attributes(kind: Literal["VARIANT", "RENDITION"], rendition_id: str, pathway: str) -> str:
    """What a variant or a rendition says of itself, each with a comma before it. Shaka looks for
    the pathway at renditions, too, where the draft has none."""
    made = f',PATHWAY-ID="{pathway}"'
    if _STABLE_ID.fullmatch(rendition_id):
        made += f',STABLE-{kind}-ID="{rendition_id}"'
    return made
