"""Many players over recorded traces, all at once, as arrays.

Where to look, in the order of reading:

    study                       controllers side by side on the same sessions; what is played
    options, cli                a plan from what was said; `nearcast simulate abr`
    families, title, generated  traces by family; what is played on them, read or made up

    engine, watch               sessions in step; when a segment is given up
    history, estimates          what was measured; what that makes them expect
    transport, plain, tcp       how requests become bytes, by two models
    capacity                    the links' bits over time, exactly
    compiled, kernels           the same for the peers' rules, compiled

    known, optimum, clairvoyant  the plan that knows the future: its steps, its search, playing it

    figures, bootstrap, rows    of a session; intervals; what is said of a family
    report, session_rows        as a table; one row a session in a file
    bound_rows                  the plan's rows of an earlier run
    timeline, picture           one session as a timeline; drawing it
"""
