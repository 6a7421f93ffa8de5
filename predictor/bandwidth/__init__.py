"""How fast the network will be: a forecast with numpy alone, for a player and for a simulator.

Where to look, in the order of reading:

    history     what a client has seen: samples of transfers, hits and misses apart
    features    the network's inputs, the same in training and in service
    file        the model as it travels: one JSON text with int8 weights
    model       quantiles of the throughput ahead
    calibrator  their correction within a session
    memory      what is remembered of networks, if the viewer agreed
"""

from predictor.bandwidth.file import Prior
from predictor.bandwidth.history import History
from predictor.bandwidth.model import BandwidthModel, Forecast

__all__ = ["BandwidthModel", "Forecast", "History", "Prior"]
