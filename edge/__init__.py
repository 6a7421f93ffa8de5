"""The cache node: a core that decides, and the drivers that do its I/O.

Where to look, in the order of reading:

    core                tells the parts what happens
    events, effects     what it is told; what it wants done

    a request
    serving             wires what answers it, and tells each part what concerns it
    requests            reads its head: which URL it means, or why it is refused
    services, keys      which service it belongs to, and what of its URL counts
    forwarding          which header fields pass, and which way
    hops                through which nodes a request has come; no circles
    targets             where a service's bytes come from
    router              which way it goes
    hot, residents      what is stored: the table hits are read from; the store and its index
    stored, rivals      what is kept beside a body; what of one URL excludes each other
    response_rules      how long answers are fresh by the settings, and who sees what of them
    belongings          what objects are part of, for policies that expect something of it
    purge, tags         what operators say is outdated; what upstream says belongs together
    passes              what the answers of those passed through mean for what is stored
    desk, answers       gives it its one answer; how that answer is made
    ledger              the open requests, and what was sent
    hit_reports         what the hit path has sent by itself

    a fetch from upstream
    fill, open_fills    one; all that are open
    fill_accounts       what is counted of them, and told when they are over
    responses           what the head of upstream's answer means
    fills               how requests join one; what is fetched though nobody waits
    fill_course         how one goes on, and how it ends
    uncacheable         URLs not worth waiting for
    deadlines           which fetch has been silent for too long
    peers               what may be taken from another edge
    upstreams           how well each upstream is; retries, errors remembered, the breaker

    what comes next
    media_map           which second of which title a URL is
    media_index         how that is found among all that are known
    texts               manifests on their way there
    successors          what follows what
    numbered            how the names of manifests say so, where no catalogue does
    unmapped            titles of which clients ask for segments alone
    sessions, progress  who watches what, and how far they are
    viewers             the same viewer over several titles
    prefetch            what is worth fetching ahead, and what of it when; why, for who asks
    titles              which titles viewers may take up next; home rows
    telemetry           what the origin is told of all this
    models              which model answers, how good it is, and what replaces it
    foresight           wires these

    fleet               what the origins hear of this edge; the placement plan it follows

    config, reload      the settings; which of them change while a node runs
    pacing              what drivers keep to, live and simulated
    status, snapshot    the figures, and how they are gathered
    records             what is written down for reports
    assemble, drivers, cli, operator_commands, fleet_commands
"""
