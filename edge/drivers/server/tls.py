"""Listening with TLS towards clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from edge.config.server import TlsConfig
from nearcast.server_tls import ServerTls


async def listen_with_tls(
    factory: Callable[[], asyncio.Protocol], tls: ServerTls, settings: TlsConfig, **options: Any
) -> asyncio.AbstractServer:
    """As loop.create_server. With aiofastnet, which costs about half of what the loop's own TLS
    does (docs/results/bench.md), where it is installed."""
    options |= {"ssl": tls.context, "ssl_handshake_timeout": settings.handshake_s}
    loop = asyncio.get_running_loop()
    try:
        import aiofastnet
    except ImportError:
        return await loop.create_server(factory, **options)
    server: asyncio.AbstractServer = await aiofastnet.create_server(loop, factory, **options)
    return server
