"""The origin's control plane on sockets, around `origin.control`, `origin.fleet` and the like.

listener     a bounded HTTP server: connections, idle ones, TLS
bodies       request bodies with a limit in bytes and in time
fleet_port   what edges ask, over mutual TLS
"""
