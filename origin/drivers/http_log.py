"""What aiohttp's servers may say in the log.

A request that is no HTTP is answered 400 and is its sender's affair: with a traceback for each, any
stranger could fill the log.
"""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _NotTheirs(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


def http_logger() -> logging.Logger:
    """For a server's `logger`: our own failures alone."""
    logger = logging.getLogger(__name__)
    if not logger.filters:
        logger.addFilter(_NotTheirs())
    return logger
