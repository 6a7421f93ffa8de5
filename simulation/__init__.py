"""The same edges and players on a virtual clock; and the demo that runs both.

Where to look, in the order of reading:

    world                       a whole network, built from a scenario and run
    scenario, workload          what is simulated; what of it is drawn by the seed
    scheduler                   virtual time, and how machines are driven in it

    link, link_shape            one direction of a link; its settings
    link_events, slow_start     what a link is told and says; the window of a sender
    wire, transport             links with somebody at each end; HTTP over them
    origin_node, viewer_node    real cores with simulated I/O
    edge_node, edge_serving     the same for an edge; what it is to its clients
    edge_transfers, edge_disk   its fills; its store
    edge_models                 its models, and a registry of them
    edge_titles                 its model of titles
    faults, injector            what may go wrong; doing it
    prediction                  the models it runs

    report, figure_text, show   figures; how they look; a run for a person
    records, checks             what is written down; what must always hold
    scenarios, traces, trace    those that come with Nearcast; a trace by its name
    trace_maker                 made the traces

    sessions                    many players over recorded traces, as arrays
    replay                      request files through the cache's policies, and beside others'
    prefetch                    what prefetching is worth, on logs of plays and of segments
    placement                   what a placement plan is worth, on a log of viewings

    demo, bench, doctor         real processes, beside the simulated ones
    drivers, cli                `nearcast shape`, `nearcast simulate`
"""
