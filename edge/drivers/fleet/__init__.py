"""The I/O of an edge in a fleet; what is said and done is decided in edge.fleet.

folder        what is kept: identity, plan, what was spent for it
async_folder  the same, beside the work of a node
enrolment     from a one-time token to an identity
client        JSON over mutual TLS, to the origin that answers
prober        looks at other edges
figures       what an operator sees of it
reports       heartbeats and observations
plans         from an origin or the folder, checked
membership    carries out what the member wants
part          what the node sees of all this, and that it may have none
"""
