"""The section [server]: how clients are treated on the socket."""

from __future__ import annotations

from edge.config.ranges import Count, Positive
from nearcast.config import Section


class ServerConfig(Section, frozen=True, kw_only=True):
    """How clients are treated on the socket."""

    connections_max: Count = 4096
    idle_s: Positive = 60.0
    """How long a connection without a request is kept."""
    send_s: Positive = 60.0
    """A client that takes less than a quarter of a megabyte in this time is let go."""
    drain_s: Positive = 10.0
    """For answers under way to finish when the node stops."""
    head_bytes_max: Count = 16_384
    """Of a request line, and of a header field."""
