"""Placement plans replayed over a log of viewings; start with `study`, then `replay`."""
