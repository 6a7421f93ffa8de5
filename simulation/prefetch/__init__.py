"""What prefetching is worth, measured on logs of plays: the table of `nearcast simulate prefetch`.

years, requests     the generated logs; requests and objects of a log
answers, moments    what models say; what an edge knows when
gate                from which probability on something is fetched
caches, kernels     replays with and without prefetching, compiled
belady              the best there is without prefetching
backhaul, timing    transfers that take their time; who finds the next title there
kept, recent        the caches for that
warmth, study       over several logs; all of it
report, plot        how it looks

segments, segment_study, segment_edge, segment_report   the same for a log of segment requests
"""
