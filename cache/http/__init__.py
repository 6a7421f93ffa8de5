"""The rules of HTTP caching (RFC 9110, 9111, 5861) as pure functions over header tuples."""

from cache.http.headers import Headers

__all__ = ["Headers"]
