"""The commands of `nearcast train` and `nearcast models`, one file for each kind of model.

`predictor.cli` puts them together; `shared` has what all of them check and show.
"""
