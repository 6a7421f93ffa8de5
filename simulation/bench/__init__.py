"""Measuring this machine, with the baseline in the same run.

Where to look, in the order of reading:

    edge                the speed goals of an edge, cell by cell
    cells               one file per line of the goals
    stage, rounds       what cells share: files and servers; taking turns
    processes, peers    servers on a core of their own; nginx and Varnish, tuned
    load, generator     what a load generator is told and says; ours
    wrk, waiters        wrk in its place; crowds that want one slow object
    origin, checks      an origin that can be slow; one answer, compared byte by byte
    report              the rows of a result

    agreement           live players against the session simulator
    ranges              an origin for byte ranges
    fleet, fleet_load   an origin under the reports of a large fleet; who sends them
    fleet_alive         where they answer probes
    placement           how fast plans are made, and how good they are
    inference           what an answer of the model costs
    simulate, sessions  how fast the simulator is; the same for sessions alone
    decisions           how long one player waits for its controller
    cli                 `nearcast bench`
"""
