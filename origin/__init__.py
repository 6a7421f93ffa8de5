"""Content and coordination: titles, who serves them, and what each edge should hold.

packaging, catalog, library, manifests, core   video files into titles, served over HTTP
registry                                       models for edges
fleet        which edges live (a machine)      steering     which of them a player is sent to
placement    what each should hold, and why    telemetry    what they tell, taken once
control      access, settings and figures of the control plane
web          the page                          commands     the command line's parts
drivers      all I/O: ports, databases, objects, events
"""
