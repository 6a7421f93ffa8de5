"""Named bundles of settings, between the defaults and the file: `nearcast edge --profile NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PROFILES: Final[Mapping[str, Mapping[str, Any]]] = {
    # A cache that adds nothing of its own to what RFC 9111 and the origin say: nothing is kept
    # that does not say for how long, or since when it has not changed; every field is passed on,
    # who asks included; errors are what upstream makes of them, once for each request.
    "transparent": {
        "http.default_freshness_s": 0.0,
        "http.negative_ttl_s": 0.0,
        "http.heuristic_fraction": 0.1,
        "http.stale_if_error_s": 0.0,
        "http.store_set_cookie": True,
        "http.store_any_status": True,
        "http.uncacheable_s": 0.0,
        "http.error_ttl_s": 0.0,
        "http.breaker_failures": 0,
        "http.retry_budget_share": 0.0,
        "service.request_headers_allow": ("*",),
        "service.response_headers_deny": (),
    },
}
