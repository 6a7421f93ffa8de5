"""What of new settings can be taken over while the node runs, and what has to wait for a restart.

Services and their rules, times and limits change at once: the core and the drivers ask for them
each time. What a part is built around (ports, the store, models) stays as it is; its new values
are named, so that nobody takes them for being in force.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.config import EdgeConfig
from nearcast.config import leaves

LIVE: Final = frozenset({"upstream", "service", "services", "http", "server", "admin_token_file"})
"""Settings and sections that change at once..."""
FIXED: Final = frozenset({"server.reuse_port", "server.unlimited_addresses"})
"""...but for these of them."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """From one configuration to the next."""

    config: EdgeConfig
    """What is in force from now on: the new settings, but for those that wait."""
    changed: tuple[str, ...]
    """The keys whose values are other ones, those that wait included."""
    waiting: tuple[str, ...]
    """The keys that need a restart."""


def plan(old: EdgeConfig, new: EdgeConfig) -> Change:
    """What becomes of `old`, which is in force, when `new` is wanted."""
    before, after = dict(leaves(old)), dict(leaves(new))
    changed = tuple(
        sorted(key for key in before | after if before.get(key, ...) != after.get(key, ...))
    )
    kept = {name: getattr(old, name) for name in EdgeConfig.__struct_fields__ if name not in LIVE}
    server = msgspec.structs.replace(
        new.server,
        reuse_port=old.server.reuse_port,
        unlimited_addresses=old.server.unlimited_addresses,
    )
    return Change(
        config=msgspec.structs.replace(new, server=server, **kept),
        changed=changed,
        waiting=tuple(key for key in changed if _section(key) not in LIVE or key in FIXED),
    )


def _section(key: str) -> str:
    return key.partition(".")[0].partition("[")[0]
