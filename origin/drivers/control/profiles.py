"""What an operator may change of what an edge said of itself when it enrolled.

It enrolled with a token, by hand; a new URL or other networks move players, so they take a person
at the origin as well. The edge itself need not be asked: it uses nothing of its profile.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from nearcast.errors import InputError
from nearcast.local_time import S_PER_H
from nearcast.zones import local_time
from origin.control.api import ProfileWanted
from origin.drivers.control.identities import why_no_url


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
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise InputError(f"network {text}: {error}") from error
    if wanted.time_zone:
        if wanted.utc_offset_h is not None:
            raise InputError("a time zone and an offset exclude each other: give the zone alone")
        # As an edge says it too, for origins that do not know the zone.
        found["utc_offset_h"] = local_time(wanted.time_zone).offset_s(wall_s) / S_PER_H
    elif wanted.utc_offset_h is not None:
        found["time_zone"] = ""
    return found
