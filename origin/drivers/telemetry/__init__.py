"""Where telemetry comes in, and what becomes of the raw events.

Where to look:

    service        all of it, as the origin starts and asks it
    intake         takes pieces, many to a transaction (origin.drivers.state.telemetry)
    nats_intake    brings it those that come by NATS JetStream
    history        moves raw events into files by day, and finds them again
    parquet        writes and asks those files, with DuckDB
    metrics        what came in, for Prometheus
"""
