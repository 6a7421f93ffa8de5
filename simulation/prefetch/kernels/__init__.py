"""Replays of moments through caches, compiled by numba. Import only where that is found."""
