"""The data port: our own HTTP/1.1 server on plain asyncio protocols (docs/adr/0006-own-http1.md).

listener    takes connections, within limits, with TLS if wanted
connection  one client: bytes to heads, one answer after the other, deadlines
hits        the short way for hits: decides nothing, changes nothing
reply       the ordinary way: a request and its one answer from the core
sending     bodies to sockets
upload      requests' bodies on their way upstream; passing: the seam to upstream
wheel       all deadlines on one timer
"""

from edge.drivers.server.listener import Listener
from edge.drivers.server.passing import Exchange, Forwarder
from edge.drivers.server.server import EdgeServer

__all__ = ["EdgeServer", "Exchange", "Forwarder", "Listener"]
