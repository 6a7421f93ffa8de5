"""Through which nodes a request has come, so that it never goes round in a circle.

Every request that is sent upstream says so in Via (RFC 9110, 7.6.3) and in CDN-Loop (RFC 8586).
A node that finds its own mark in a request refuses it: two edges that are each other's upstream,
or a name that leads back to this node, would otherwise multiply one request without end.
"""

from __future__ import annotations

from typing import Final

from cache.http.headers import Headers, get_all, get_list, without

LOOP: Final = "cdn-loop"
VIA: Final = "via"
_PREFIX: Final = "nearcast-"
_MEMBERS_MAX: Final = 32
"""A longer way than this is a circle, whoever marked it."""


class Hops:
    """The marks of one node. `node_id` tells it from all others: letters, digits, hyphens."""

    def __init__(self, node_id: str) -> None:
        self._mark = _PREFIX + node_id

    def is_loop(self, headers: Headers) -> bool:
        """Whether this request has been here before, or has come too far to be going anywhere."""
        members = [one.partition(";")[0].strip() for one in get_list(headers, LOOP)]
        return self._mark in members or len(members) > _MEMBERS_MAX

    def marked(self, headers: Headers) -> Headers:
        """The fields of a request that leaves this node."""
        via = ", ".join((*get_all(headers, VIA), f"1.1 {self._mark}"))
        loop = ", ".join((*get_all(headers, LOOP), self._mark))
        return (*without(headers, (VIA, LOOP)), (VIA, via), (LOOP, loop))


def shared_loop(headers: Headers) -> Headers:
    """What of CDN-Loop goes into a request that is made for everyone: the marks of nodes like us.
    Those of others could make an upstream refuse it to everybody."""
    marks = [one for one in get_list(headers, LOOP) if one.startswith(_PREFIX)][:_MEMBERS_MAX]
    return ((LOOP, ", ".join(marks)),) if marks else ()
