"""The settings a node goes by; new ones, while it runs, are taken over whole or not at all."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from edge.config import EdgeConfig
from edge.drivers.admin import Admin
from edge.drivers.server import EdgeServer
from edge.drivers.settings import admin_token
from edge.drivers.upstream import Upstream
from edge.events import Event, Reconfigured
from edge.reload import plan
from edge.services import Services
from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)


class LiveSettings:
    """The settings that are in force."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        read: Callable[[], EdgeConfig] | None,
        tell: Callable[[Event], None],
        upstream: Upstream,
        server: EdgeServer,
        admin: Admin,
    ) -> None:
        """`read` gives them as they are now; None: they were given once and for all."""
        self.config = config
        self.count = 0
        self.failure_count = 0
        self._read = read
        self._tell = tell
        self._upstream = upstream
        self._server = server
        self._admin = admin

    def reload(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read the settings again and go by them: the keys that changed, and of these those that
        need a restart. Certificates and tokens are read anew too.

        Raises ConfigError; everything is as before then: what can fail is tried first.
        """
        try:
            if self._read is None:
                raise ConfigError("this node was given its settings once and for all")
            change = plan(self.config, self._read())
            services = Services(change.config)
            token = admin_token(change.config)
            self._upstream.check(services)
            self._server.listener.reload_tls()
        except ConfigError as error:
            self.failure_count += 1
            logger.error("config.refused cause=%s; the settings before it stay", error)
            raise
        self.config = change.config
        self._tell(Reconfigured(config=change.config))
        self._server.reconfigure(change.config)
        with contextlib.suppress(ConfigError):  # a file changed since; what was read stays in use
            self._upstream.reconfigure(change.config)
        self._admin.use_token(token)
        self.count += 1
        logger.info("config.reloaded changed=%s", ",".join(change.changed) or "nothing")
        if change.waiting:
            logger.warning("config.needs_restart keys=%s", ",".join(change.waiting))
        return change.changed, change.waiting
