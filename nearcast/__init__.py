"""The ground that every part of Nearcast stands on: vocabulary, machines, clocks, settings,
records.

It imports none of the other packages and decides nothing.
"""
