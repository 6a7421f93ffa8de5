"""Sessions of the rules that peers play by, again, one after the other, for numba to compile.

`session` does what simulation.sessions.engine and watch do over the plain transport, `link` what
simulation.sessions.capacity does, and `rules` what the classes in abr.controllers do; a test holds
both ways of playing together, decision by decision. Compiled, a session costs the same whether many
or few are played at once. Parameters and their defaults are the classes' own.
"""
