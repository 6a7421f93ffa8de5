"""The eviction policies again, over numbered objects and arrays, for numba to compile.

Each does what the class of the same name in `cache.eviction` does, request by request; that both
miss the same requests is tested. Only the rules are here: parameters and their defaults are the
classes' own.
"""
