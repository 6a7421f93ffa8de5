"""Which edge holds what, decided ahead of demand. No I/O.

What will be wanted:

    demand              what was taken, hour by hour
    forecast            what will be taken: rendition, title and edge
    forecast_fading, forecast_popularity, forecast_reserve, forecast_series, forecast_signals
                        its signals
    forecast_volume     how much an edge views in a day
    forecast_weights    how much each counts
    kept_forecast       from one plan to the next, what is not to be computed again

What is made of it:

    planner             inputs -> the plan for all edges
    inputs, settings    what it is made from, and the operator's wishes
    windows, budget     when an edge may fetch, and how much
    files               the files that could be placed, and their heads
    problem, solver     what should be held where, within every budget
    reserving           places for what viewers pull, beside what is fetched
    sites, knapsack     the same inside a cluster, and for one edge
    few                 better answers where files are few
    wanted, sources     the files of an edge's plan, and whom it asks for them
    summary             what a plan says of itself

Looking at it:

    diff                what a plan changes
    explain             why a file is on an edge, or is not
    room                which edge cannot follow its plan
    bound               how good a placement could be at most
"""
