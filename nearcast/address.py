"""HOST:PORT, as people write where something listens or where it leads."""

from __future__ import annotations

import re
from typing import Final

from nearcast.errors import ConfigError

PORT_MAX: Final = 65_535
EVERY_ADDRESS: Final = "0.0.0.0"
LOOPBACK: Final = "127.0.0.1"


def parse_address(text: str, what: str, *, host_default: str = EVERY_ADDRESS) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080` or `:8080` (`host_default`).

    Raises ConfigError that begins with `what`: the option or setting it came from.
    """
    host, colon, port = text.rpartition(":")
    # [0-9], not isdigit: that also takes superscripts, which int() does not.
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise ConfigError(f"{what} {text!r}: write it as HOST:PORT, for example 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]") or host_default, int(port)
