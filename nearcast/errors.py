"""Every error Nearcast raises on purpose.

The command line turns a `NearcastError` into one line on stderr and `exit_code`.
"""

from __future__ import annotations


class NearcastError(Exception):
    """The root: a message for the user, not a traceback."""

    exit_code = 2


class ConfigError(NearcastError):
    """A setting is unknown, malformed or out of range; the message names the key and its source."""


class InputError(NearcastError):
    """A file or argument the user gave cannot be used; the message names file and line."""


class LocalProtocolError(NearcastError):
    """We misused one of our own machines: a bug, never the peer's fault."""

    exit_code = 1


class RemoteProtocolError(NearcastError):
    """A peer sent nonsense: a manifest, a header or a body that breaks its specification."""


class ModelError(NearcastError):
    """A model cannot be used; the node goes on with its rule."""


class SchemaMismatch(ModelError):
    """The model's inputs or outputs are not the ones this version computes."""


class SignatureError(ModelError):
    """The model's bytes are not the ones its manifest names."""
