"""How an upstream is known, and how it knows us: certificates, and a token in a header field.

Files are read when the node starts and when it is told to read them again; a broken file then
leaves what was read before in use, so that a slip at renewal does not stop a node that works.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

from edge.config.service import TlsRules, TokenRules
from edge.events import Headers
from nearcast.errors import ConfigError

_TOKEN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
TOKEN_BYTES_MAX: Final = 8192


class Credentials:
    """Of one upstream; nothing is read before `load`."""

    def __init__(self, tls: TlsRules, token: TokenRules, *, is_tls: bool, host: str) -> None:
        self.server_name = tls.server_name if tls.server_name is not None else host
        self.context: ssl.SSLContext | None = None
        """For new connections; None: this upstream speaks plain HTTP."""
        self.fields: Headers = ()
        """The token's header field, if there is one."""
        self.generation = 0
        """Grows with each load: a connection of an older one is not used again."""
        self._tls = tls
        self._token = token
        self._is_tls = is_tls

    def load(self) -> None:
        """Raises ConfigError."""
        context = _context(self._tls) if self._is_tls else None
        fields = _fields(self._token)
        self.context, self.fields = context, fields
        self.generation += 1

    def sign(self, headers: Headers) -> Headers:
        """The fields with the token's in place of a client's of that name."""
        if not self.fields:
            return headers
        name = self.fields[0][0]
        return (*(field for field in headers if field[0] != name), *self.fields)


def _context(tls: TlsRules) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        if tls.ca_file is not None:
            context.load_verify_locations(cafile=tls.ca_file)
        else:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        if tls.client_certificate is not None:
            context.load_cert_chain(tls.client_certificate, tls.client_key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        names = tuple(n for n in (tls.ca_file, tls.client_certificate, tls.client_key) if n)
        raise ConfigError(f"cannot use the files of tls ({', '.join(names)}): {error}") from error
    return context


def _no_password() -> str:
    """Without it OpenSSL would ask on the terminal."""
    raise ConfigError("tls.client_key is encrypted; a node cannot be asked for its password")


def _fields(token: TokenRules) -> Headers:
    if token.file is not None:
        try:
            text = Path(token.file).read_bytes()[: TOKEN_BYTES_MAX + 1].decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the token in {token.file}: {error}") from error
        place = token.file
    elif token.environment is not None:
        text = os.environ.get(token.environment, "").strip()
        place = f"the variable {token.environment}"
    else:
        return ()
    if len(text) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(text):
        raise ConfigError(f"the token in {place} must be one line of visible ASCII")
    return ((token.header.lower(), text),)
