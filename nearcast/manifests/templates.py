"""The URL templates of DASH (ISO/IEC 23009-1, 5.3.9.4.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import shown
from nearcast.manifests.places import split_joined
from nearcast.manifests.tables import Slot

_IDENTIFIER: Final = re.compile(r"\$(RepresentationID|Number|Bandwidth|Time|)(?:%0(\d{1,2})d)?\$")


def read_template(
    template: str, base_url: str, names: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[Slot, ...]]:
    """The pieces of the URL, and what comes between them.

    The template is resolved against the base once, with marks in place of what varies, since a
    title has thousands of segments.
    """
    slots: list[Slot] = []

    def mark(match: re.Match[str]) -> str:
        name, width = match[1], match[2]
        if not name:
            if width is not None:
                raise RemoteProtocolError(f"cannot read the template {shown(template)}")
            return "$"
        if name in names:
            value = names[name]
            return value if width is None or name != "Bandwidth" else value.zfill(int(width))
        slots.append(("Number" if name == "Number" else "Time", int(width or 1)))
        return "\x1a"  # cannot be in a URL, so it cannot be mistaken for anything else

    if "\x1a" in template:
        raise RemoteProtocolError("a URL holds control characters")
    marked = _IDENTIFIER.sub(mark, template)
    if len(slots) > 8:
        raise RemoteProtocolError(f"too many identifiers in the template {shown(template)}")
    if "$" in _IDENTIFIER.sub("", template):
        raise RemoteProtocolError(f"unknown identifier in the template {shown(template)}")
    pieces = split_joined(base_url, marked.split("\x1a"))
    if pieces is None:
        raise RemoteProtocolError(f"cannot read the template {shown(template)}")
    return pieces, tuple(slots)
