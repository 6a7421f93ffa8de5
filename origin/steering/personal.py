"""A manifest for one client: the edges it is to take as pathways of their own, the best first.

Players that make no clones of pathways (Shaka's minified builds) follow a steering server only
among those that the manifest lists, and players that know nothing of steering take the first and
fail over to the next. It is made of the manifest for everybody, by putting what that says of the
origin there once for each edge; `home` is left out, as nobody should keep this text and pass it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from nearcast.steering import HOME_PATHWAY, ORIGIN_PATHWAY
from origin.steering.asked import BASE, LISTED

PLAY_PREFIX: Final = "/v1/play/"
"""Followed by what comes after `/media/` for everybody's manifest."""
_OF_HOME: Final = f'="{HOME_PATHWAY}'
_ASKED: Final = f"?{BASE}={ORIGIN_PATHWAY}"
_OF_ORIGIN: Final = f'="{ORIGIN_PATHWAY}'


class NamedEdge(NamedTuple):
    id: str
    url: str


def personal(text: str, edges: Sequence[NamedEdge], origin_url: str) -> str | None:
    """`text` is an MPD or an HLS master as we write them, `origin_url` what its URLs of the origin
    begin with; None where it speaks of no steering."""
    lines = text.splitlines()
    about = [
        (at, line)
        for at, line in enumerate(lines)
        if _OF_ORIGIN in line or (line.startswith(origin_url) and text.startswith("#EXTM3U"))
    ]
    if not about:
        return None
    begin = about[0][0]
    taken = {at for at, _ in about}
    before = [line for at, line in enumerate(lines[:begin]) if not _is_home(line, lines[at - 1])]
    after = [line for at, line in enumerate(lines) if at > begin and at not in taken]
    first = edges[0].id if edges else ORIGIN_PATHWAY
    made: list[str] = []
    for edge in (*edges, NamedEdge(ORIGIN_PATHWAY, origin_url)):
        for _, line in about:
            named = line.replace(_OF_ORIGIN, f'="{edge.id}')
            made.append(named.replace(escape(origin_url), escape(edge.url.rstrip("/"))))
    found = "\n".join([*before, *made, *after, ""])
    # What is left of `home` says where to begin: the steering tag. Its URL tells what is listed.
    found = found.replace(f'{_OF_HOME}"', f'="{first}"')
    if not edges:
        return found
    listed = f"{'&' if text.startswith('#EXTM3U') else '&amp;'}{LISTED}="
    return found.replace(_ASKED, _ASKED + listed + ",".join(edge.id for edge in edges), 1)


def _is_home(line: str, above: str) -> bool:
    """Whether a line lists what is of `home`, or is the playlist of a variant that is."""
    is_tag = _OF_HOME in line and "STEERING" not in line.upper()
    return is_tag or (above.startswith("#EXT-X-STREAM-INF") and _OF_HOME in above)
