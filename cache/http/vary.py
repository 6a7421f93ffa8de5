"""Which stored response of a URL answers a request: the secondary key (RFC 9111, 4.1).

The fields that Vary names are compared after removing differences without meaning: white space,
order and case of the members of Accept-Encoding, lines joined. A field that the request lacks is
left out of the key, so that "absent" and "empty" differ.
"""

from __future__ import annotations

import re

from cache.http.headers import Headers, get_all, get_list, split_list

# Case and order of these lists carry no meaning (preference is in q=, which is kept).
_UNORDERED = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")


def vary_names(response_headers: Headers) -> tuple[str, ...] | None:
    """The fields a response depends on, sorted, each once; None for `*`, which nothing matches.
    What cannot be the name of a field counts as `*`: it depends on we do not know what."""
    members = get_list(response_headers, "vary")
    if not members:
        return ()
    names = {name.lower() for name in members}
    if "*" in names or not all(_NAME.fullmatch(name) for name in names):
        return None
    return tuple(sorted(names))


def secondary_key(response_headers: Headers, request_headers: Headers) -> Headers | None:
    """The normalised request fields the response depends on; None when it never matches."""
    names = vary_names(response_headers)
    if names is None:
        return None
    return tuple(
        (name, _normalised(name, lines))
        for name in names
        if (lines := get_all(request_headers, name))
    )


def is_match(stored_headers: Headers, stored_key: Headers, request_headers: Headers) -> bool:
    """Whether a response stored under `stored_key` may answer this request."""
    return secondary_key(stored_headers, request_headers) == stored_key


def _normalised(name: str, lines: tuple[str, ...]) -> str:
    members = [" ".join(member.split()) for line in lines for member in split_list(line)]
    if name in _UNORDERED:
        members = sorted({member.lower().replace(" ", "") for member in members})
    return ", ".join(members)
