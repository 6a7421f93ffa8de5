"""Where the control plane's ports are, when nobody says so."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from nearcast.address import LOOPBACK, PORT_MAX
from nearcast.errors import ConfigError
from origin.drivers.control.listener import shown_address

logger = logging.getLogger(__name__)

ADMIN_PORT_ABOVE: Final = 10
FLEET_PORT_ABOVE: Final = 20
"""The content's port."""


def wanted(setting: str, content: tuple[str, int], above: int) -> str:
    """Where to listen when nobody said: this machine only, near the content's port."""
    if setting:
        return setting
    port = content[1]
    return f"{LOOPBACK}:{port + above if 0 < port <= PORT_MAX - above else 0}"


async def opened(
    start: Callable[[str], Awaitable[tuple[str, int]]],
    setting: str,
    content: tuple[str, int],
    above: int,
) -> tuple[str, int]:
    """Where it listens. Content is served already, and who did not ask for this port shall not lose
    it by another program that has the port: then any does. Raises ConfigError where somebody did
    ask."""
    try:
        return await start(wanted(setting, content, above))
    except ConfigError as error:
        if setting:
            raise
        bound = await start(f"{LOOPBACK}:0")
        logger.warning(
            "control.port_taken detail=%s listens_on=%s: until the next start", error,
            shown_address(*bound),
        )  # fmt: skip
        return bound
