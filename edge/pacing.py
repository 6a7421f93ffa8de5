"""How much at a time, and how often: what the live and the simulated drivers keep to alike."""

from __future__ import annotations

from typing import Final

CONNECTIONS_MAX: Final = 512
"""To upstream, for what clients wait for. No less than what the core lets be in flight by default
(http.fills_max + http.passes_max): a last bound."""

PROGRESS_BYTES: Final = 128 * 1024
"""A fill tells of its progress each time that so much more is here..."""
PROGRESS_S: Final = 1.0
"""...and when bytes arrive this long after it last told."""

SPOOL_BYTES: Final = 1 << 20
"""Larger bodies are written while they grow, so much at a time, and the disk says then if it
cannot."""

HITS_MAX: Final = 256
HITS_DELAY_S: Final = 0.01
"""Hits are reported when there are so many, or the first is so old."""

FOREIGN_RETRY_S: Final = 600.0
"""How long an upstream without a catalogue is left alone."""
