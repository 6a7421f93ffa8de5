"""Events on the disk until the origin has them.

Where to look:

    spool       segment files: append, cut what is torn, drop the oldest for want of room
    shipping    reads pieces off them, sends them, goes back to where the origin is
    carriers    the two ways there: the fleet connection, NATS JetStream
    figures     how it goes
    driver      what the node sees of all this
"""

from edge.drivers.telemetry.driver import Telemetry

__all__ = ["Telemetry"]
