"""What edges tell the origin: which of it counts, once, and what it adds up to.

Where to look:

    pieces          reads a piece of a segment: events that count, and how many do not
    cursors         which pieces are next, which came before, which come too early
    sums            what events add up to, by the hour
    demand          arrays of what was wanted, for the forecast
    watched         how far titles were watched
    growth          how much edges' counters grew since the heartbeat before
    ratios          what is made of sums
    series          figures of each edge and of all by the minute, from their heartbeats
    series_minutes  a minute of them, as it is written down
"""
