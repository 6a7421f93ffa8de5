"""The edge's client side: HTTP/1.1 towards the configured upstreams."""

from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.legacy import LegacyUpstream as Upstream
from edge.drivers.upstream.legacy import lower_headers

__all__ = ["Upstream", "UpstreamError", "lower_headers"]
