"""Demand per title and region in the next day or week: a decay table, and trees upon it.

Where to look, in the order of reading:

    history    amounts watched, by title, region and period
    causal     what a history says up to each period and nothing after it
    table      the decay table: forecasts with numpy alone, and the base of the trees
    features   one row of numbers per title and region; trains and serves
    model      the table and the trees of an artifact, as quantiles
"""

from predictor.demand.history import DAY, WEEK, DemandHistory
from predictor.demand.model import DemandModel
from predictor.demand.table import QUANTILES, DecayTable

__all__ = ["DAY", "QUANTILES", "WEEK", "DecayTable", "DemandHistory", "DemandModel"]
