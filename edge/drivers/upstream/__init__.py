"""The edge's client side: HTTP/1.1 towards the configured upstreams."""

from edge.drivers.upstream.client import Upstream
from edge.drivers.upstream.errors import UpstreamError

__all__ = ["Upstream", "UpstreamError"]
