"""What an operator may change of what an edge said of itself when it enrolled.

It enrolled with a token, by hand; a new URL or other networks move players, so they take a person
at the origin as well. The edge itself need not be asked: it uses nothing of its profile.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nearcast.address import network
from nearcast.errors import InputError
from nearcast.zones import stated
from origin.control.api import ProfileWanted
from origin.drivers.control.identities import check_place, why_no_url


def changes(wanted: ProfileWanted, wall_s: float) -> dict[str, Any]:
    """The fields of an EdgeProfile that are to be others, checked. Raises InputError."""
    found = {
        name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None
    }
    if not found:
        raise InputError("nothing is to be changed: say what")
    if wanted.url is not None and (why := why_no_url(wanted.url)):
        raise InputError(why)
    for text in wanted.networks or ():
        network(text)
    check_place(wanted.cluster or "", wanted.region or "")
    if wanted.time_zone or wanted.utc_offset_h is not None:
        zone, offset_h = stated(wanted.time_zone or "", wanted.utc_offset_h, wall_s)
        found |= {"time_zone": zone, "utc_offset_h": offset_h}
    return found
