"""Residency and the rules of HTTP caching; no I/O."""
