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
    """A model cannot be used; the node goes on with what it has.

    `reason` is one word to count by: unreadable, oversized, schema, changed (bytes are not the
    manifest's), unsigned, untrusted, revoked, forged, graph (the graph may not be run), golden
    (it answers otherwise than at the trainer's), unusable (the runtime will not have it).
    """

    reason = "unusable"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason


class SchemaMismatch(ModelError):
    """The model's inputs or outputs are not the ones this version computes."""

    reason = "schema"


class SignatureError(ModelError):
    """The model's bytes are not the ones its manifest names, or nobody trusted signed them."""

    reason = "changed"


class PlanError(NearcastError):
    """A placement plan is not followed; the edge goes on with the one it has.

    `reason` is one word to count by: unreadable, oversized, version, untrusted (no key this edge
    knows), forged (not what was signed), other_edge, expired.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
