"""What prefetching is worth, measured on logs of plays: the table of `nearcast simulate prefetch`.

`requests` makes requests and objects of a log, `moments` what an edge knows when, `kernels` replays
both through caches with and without prefetching, `gate` says from which probability on something is
fetched, `belady` is the best without prefetching, `timing` gives transfers their time on a link,
`study` runs all of it and `report` prints it.
"""
