"""The data port: our own HTTP/1.1 server on plain asyncio protocols (docs/adr/0006-own-http1.md).

server              what the connections share, and the way back from the core to them
listener, limits    takes connections, so many and so many of an address; tls
connection          one client: one answer after the other, deadlines
tail                what it sent and nobody looked at yet; the next head in it
hits, lessons       the short way for hits, deciding and changing nothing; what it has learned
plain               what it reads for itself
reply, answered     the ordinary way: a request and its one answer from the core
heads               heads as bytes
sending, direct     bodies to sockets: through the transport, or past it
upload, passing     requests' bodies on their way upstream; the seam to it
pace                whether a client takes what it must
wheel               all deadlines on one timer
"""

from edge.drivers.server.listener import Listener
from edge.drivers.server.passing import Exchange, Forwarder
from edge.drivers.server.server import EdgeServer

__all__ = ["EdgeServer", "Exchange", "Forwarder", "Listener"]
