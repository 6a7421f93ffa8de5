"""The origin's control plane on sockets, around `origin.control`, `origin.fleet` and the like.

Where to look:

    control                 puts all of it together, and keeps it going
    sync                    in step with the database and other origins
    view                    the fleet as people and players see it
    metrics                 the same for Prometheus

Edges:

    fleet_port              what they ask, over mutual TLS
    desk                    who answers them
    identities              who is in the fleet: enrolment and certificates
    profiles                what an operator may change of an edge
    probes                  the origin's own looks at them
    certificate_refusals    certificates that TLS turns away

Plans:

    planning                makes, applies, explains
    plan_clock              makes them by the clock, one origin at a time
    plan_process            a process of their own, kept from one to the next
    plan_worker             what is done in it
    clocks                  local time at edges

Players and people:

    public, players         what players ask on the content's port
    admin                   the admin port: routes, sign-in, server-sent events
    page                    the page's files
    admin_place             where the admin port is, for commands
    client                  how commands speak to it
    token_file              the first admin's token

Sockets:

    listener, connections   a bounded HTTP server, and who is connected
    ports                   where it listens when nobody says so
    bodies                  request bodies with a limit in bytes and in time

Once in a while, one origin at a time:

    series_keeper           writes the page's figures by the minute down
    upkeep                  forgets what is too old
"""
