"""How far live players and the session simulator are apart on the same links.

Where to look, in the order of reading:

    plan            traces, titles and round trips that both play
    media           a title on disk: a manifest, and files of the right sizes
    live            real processes: an origin, shaped links, players
    simulated       the same by the session simulator
    report          rows, gaps and their table
"""
