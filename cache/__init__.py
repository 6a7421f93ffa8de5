"""Residency and the rules of HTTP caching; no I/O.

Where to look:

    index       what is resident, and what has to go: the only place that counts the store's bytes
    eviction    in which order things go, by policy
    admission   what is worth storing at all, by policy
    expiries    what is kept until a set time only
    memory      what has a copy in RAM as well, asked by the index alone
    config      how much, and by which policies
    http        what may be stored, how long it is fresh, what a request wants of it
"""
