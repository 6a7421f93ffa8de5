"""Request files replayed through the policies of the cache.

`requests` reads a file, `plain` replays it through the very objects an edge uses, `kernels` holds
the same policies compiled for long files, `bound` says what no policy can beat, `peers` runs
another library's policies on the same requests, and `run` puts them side by side.
"""
