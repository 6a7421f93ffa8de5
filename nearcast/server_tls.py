"""A server's TLS: certificates that can be renewed while it runs.

The context stays the same object for the life of the listener; renewing loads the new chain into
it. Handshakes from then on show the new certificate, connections that exist go on. New files are
tried in a context of their own first, so that a half-written pair changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from typing import Final

from nearcast.errors import ConfigError

logger = logging.getLogger(__name__)

LOOK_S: Final = 10.0
"""How often the files are looked at; two or three calls of stat."""


class ServerTls:
    """The certificate of a port. `what` begins the names of its settings."""

    def __init__(
        self, certificate: str, key: str | None, client_ca: str | None = None, *, what: str = "tls"
    ) -> None:
        """Raises ConfigError when the files cannot be used."""
        self.certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._what = what
        self._timer: asyncio.TimerHandle | None = None
        self._marks = self._look()
        self.context = self._load(_new_context())

    def reload(self) -> None:
        """Read the files again. Raises ConfigError, and keeps what it had, when that fails."""
        self._load(_new_context())
        self._load(self.context)
        self._marks = self._look()
        logger.info("tls.loaded certificate=%s", self.certificate)

    def try_reload(self) -> None:
        """As `reload`; files that cannot be used are told to the log."""
        try:
            self.reload()
        except ConfigError as error:
            logger.error("tls.not_loaded cause=%s", error)

    def watch(self) -> None:
        """Read the files again whenever they have changed, until `close`."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._check)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        marks = self._look()
        if marks != self._marks:
            self._marks = marks
            self.try_reload()
        self.watch()

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        """What tells that a file has been replaced or written."""
        marks: list[tuple[int, int] | None] = []
        for name in (self.certificate, self._key, self._client_ca):
            mark = None
            if name is not None:
                with contextlib.suppress(OSError):
                    found = os.stat(name)
                    mark = (found.st_mtime_ns, found.st_ino)
            marks.append(mark)
        return tuple(marks)

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        certificate, key, what = self.certificate, self._key, self._what
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"{what}.certificate {certificate}, {what}.key {key}: {error}"
            ) from error
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"{what}.client_ca {self._client_ca}: {error}") from error
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def _no_password() -> str:
    """Instead of asking on a terminal that a service does not have."""
    raise ValueError("the key is protected by a password")
