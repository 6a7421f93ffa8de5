"""Our own controller: stochastic model predictive control over a bandwidth forecast.

Where to look, in the order of reading:

    params      what can be set, and what things cost
    controller  what is asked and answered
    outlook     the forecast, corrected by what came true
    mixture     hits and misses in one, where the edge says nothing
    chain       the forecast as a Markov chain of levels
    induction   the value of a plan, by backward induction
    rescue      giving up a segment under way
    wishes      what the operator wants: caps of data and of device
"""

from abr.controllers.nearcast.controller import Nearcast
from abr.controllers.nearcast.params import NearcastParams

__all__ = ["Nearcast", "NearcastParams"]
