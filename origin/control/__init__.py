"""What the origin decides about its fleet's identities and the people who run it.

authority   the fleet's certificates: edges', and the fleet port's own
access      tokens with roles, and how often a wrong one may be tried
"""
