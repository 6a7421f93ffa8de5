"""The client: a player core, bitrate controllers, and the drivers that do its I/O.

Where to look, in the order of reading:

    viewer, player      several titles in a row; one, from pressing play to its end
    events              what they are told and what they want done

    opening, loading    from a URL to a presentation: its requests; its texts
    title, audio        the presentation as it is played; which audio of it
    downloads, fetcher  all its tracks; one of them
    requests, transfer  all its requests; one of them, and what it teaches
    hosts, answers      where they go; whether what comes is what was asked for
    places              where the same bytes are, in which order
    steering, pathways  the server that gives the order; by which ways segments came
    setbacks, holes     what follows from failures; stretches that nobody has
    throughput          what the network gives
    selection           which rung is next
    controllers, view   who is asked; what they see
    rescue              giving up a segment that comes too late
    buffer, playback    what is here; where the picture is

    client_data         what is told to the edge (CMCD)
    tally, qoe, report  counting a title; one figure for it; what is said about it
    timeline, picture   what happened, segment by segment; drawing it
    recording           a timeline of a player's records
    foresight           what a controller expected
    status, live_line   the same while it plays, and on a terminal
    journal, records    what is written down
    schedule, summary   many viewers in one process; reports for people
    config, assemble, drivers, cli
"""
