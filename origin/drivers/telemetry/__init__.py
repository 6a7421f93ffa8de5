"""Where telemetry comes in, and what becomes of the raw events."""
