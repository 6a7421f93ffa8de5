"""The settings of an edge: one module per section."""

from edge.config.fleet import FleetConfig
from edge.config.http import HttpConfig
from edge.config.models import ModelsConfig
from edge.config.node import EdgeConfig
from edge.config.server import ServerConfig, TlsConfig
from edge.config.service import (
    KeyRules,
    QueryRule,
    ServiceConfig,
    ServiceRules,
    TlsRules,
    TokenRules,
)
from edge.config.storage import StorageConfig
from edge.config.telemetry import TelemetryConfig
from edge.config.titles import TitlesConfig
from edge.config.watching import InferenceConfig, PrefetchConfig, SessionsConfig

__all__ = [
    "EdgeConfig",
    "FleetConfig",
    "HttpConfig",
    "InferenceConfig",
    "KeyRules",
    "ModelsConfig",
    "PrefetchConfig",
    "QueryRule",
    "ServerConfig",
    "ServiceConfig",
    "ServiceRules",
    "SessionsConfig",
    "StorageConfig",
    "TelemetryConfig",
    "TitlesConfig",
    "TlsConfig",
    "TlsRules",
    "TokenRules",
]
