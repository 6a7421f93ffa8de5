"""What the origin decides around its fleet: who gets in, what plans are made from, what people see.

Where to look. Identities and people:

    authority           the fleet's certificates: edges', and the fleet port's own
    access              tokens with roles, and how often a wrong one may be tried
    client_address      whose address a request came from, behind proxies
    crowd               who leaves when there is no room for another connection

What a plan is made from, in this order:

    told                what edges reported, hour by hour
    editions            which rendition stands for one of an earlier edition
    ladder              titles, numbered, with their pictures by rate
    watching            how far people watch
    held                what edges hold, by what was planned and by what they say
    plan_inputs         all of it together, with the forecast, for origin.placement.planner
    plan_checks         whether a plan can be put in force now
    plan_times          when the clock makes one

What the page and commands show:

    api                 messages of the admin API
    rows                the fleet's rows and totals
    recent              what each edge did over the last minute
    states              what became of each edge lately
    reports             what players say of edges
    viewings            how the viewings of a title went
"""
