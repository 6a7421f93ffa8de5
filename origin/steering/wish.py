"""What a client wants, and what is known of it, as rules and draws go by it."""

from __future__ import annotations

import msgspec

from nearcast.hashing import key_of
from nearcast.held_digest import sum_of


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One client's wish for one title, at one moment."""

    title_key: int
    client_key: int
    title_crc: int
    scheme: str = ""
    """Of the page it plays in, which an edge must have too; empty: any."""
    slower: frozenset[str] = frozenset()
    """Edges that are clearly slower than another for the client's network."""


def wish_of(
    client: str, title: str, scheme: str = "", *, slower: frozenset[str] = frozenset()
) -> Wish:
    # Half a surrogate pair, as a path may have it, is nothing that can be hashed.
    title = title.encode(errors="replace").decode()
    return Wish(
        title_key=key_of(f"title/{title}"),
        client_key=key_of(f"client/{client}"),
        title_crc=sum_of(title),
        scheme=scheme,
        slower=slower,
    )
