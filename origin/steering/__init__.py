"""Which edges a client should fetch a title from, as a steering manifest says it.

server      Steering: answers and explanations
question    what a client says when it asks
asked       what manifests put into the URL that players ask
tried       what a client remembers for us
wish        what a client wants, as rules and draws go by it
clones      an edge as players are told of it
ranking     which edges may be offered to one client for a title
rules       what puts one before another: a table
throughput  what clients of a network measured at edges
networks    which edges are near a client
moves       why a client leaves the edge it is at: a table
choice      where a client is, and when it is slow there
pace        when clients are to ask again
explanation why an edge is where it is in an answer
"""

from origin.steering.explanation import EdgePlace
from origin.steering.server import Steering

__all__ = ["EdgePlace", "Steering"]
