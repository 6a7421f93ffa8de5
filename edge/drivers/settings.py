"""Settings as one node takes them: what they leave open filled in, what they name looked up."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from edge.config import EdgeConfig
from edge.config.node import NAME_DEFAULT
from edge.drivers.fleet.folder import Enrolled
from edge.drivers.token import AdminToken, viewer_key
from nearcast.errors import ConfigError, InputError
from nearcast.local_time import LocalTime
from nearcast.zones import viewers_time


def node_settings(config: EdgeConfig, enrolled: Enrolled | None) -> EdgeConfig:
    """What a node goes by that is told this."""
    return _named(_bounded(config), enrolled)


def _bounded(config: EdgeConfig) -> EdgeConfig:
    """Without a store larger objects could not be kept, so they must not pile up in memory
    either."""
    if config.store is not None:
        return config
    size_bytes_max = min(config.object_bytes_max, config.cache().capacity_bytes)
    return msgspec.structs.replace(config, object_bytes_max=size_bytes_max)


def _named(config: EdgeConfig, enrolled: Enrolled | None) -> EdgeConfig:
    """A node that was given no name has the one that its fleet knows it by."""
    if enrolled is None or config.name != NAME_DEFAULT:
        return config
    edge = enrolled.identity.edge  # which may begin with a digit, as no name may
    return msgspec.structs.replace(config, name=edge if edge[0].isalpha() else f"edge-{edge}")


def admin_token(config: EdgeConfig) -> AdminToken | None:
    """Raises ConfigError."""
    return AdminToken(config.admin_token_file) if config.admin_token_file is not None else None


def pseudonym_key(config: EdgeConfig) -> bytes:
    """Of the viewers: forgotten with the process, unless the operator wants it kept. Raises
    ConfigError."""
    if config.sessions.pseudonym_key_file is None:
        return secrets.token_bytes(32)
    return viewer_key(Path(config.sessions.pseudonym_key_file))


def local_time(config: EdgeConfig) -> LocalTime:
    """The viewers'. Raises ConfigError."""
    try:
        return viewers_time(config.sessions.time_zone, config.sessions.utc_offset_h)
    except InputError as error:
        raise ConfigError(f"sessions.time_zone: {error}") from error
