"""Which edges a client should fetch a title from, as a steering manifest says it.

server      Steering: answers and explanations
ranking     the order of edges for one client and title
networks    which edges are near a client
choice      whether a client stays where it is
tried       what a client remembers for us
"""

from origin.steering.explanation import EdgePlace
from origin.steering.server import Steering

__all__ = ["EdgePlace", "Steering"]
