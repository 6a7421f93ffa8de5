"""Reports failed requests to a collector, as CMCD version 2 does in event mode (CTA-5004-B).

A report may be lost: playback waits for none, and one that cannot be sent is not sent again.
"""

from __future__ import annotations

import logging
from collections import deque

import aiohttp

from abr import events as ev
from nearcast.units import ms_from_s

logger = logging.getLogger(__name__)

WAITING_MAX = 50
"""Lines that wait; of more the oldest go."""
SEND_S_MAX = 5.0
CONTENT_TYPE = "application/cmcd"


class FailureReports:
    """Of one viewer. When `add` says so, `send` is to be run; there is at most one of it."""

    def __init__(self, url: str, *, epoch_s: float) -> None:
        self._url = url
        self._epoch_s = epoch_s
        self._waiting: deque[str] = deque(maxlen=WAITING_MAX)
        self._is_sending = False
        self.lost_count = 0
        """Bodies that the collector did not take."""

    def add(self, effect: ev.ReportFailure) -> bool:
        """Whether `send` is to be run now."""
        self._waiting.append(line(effect, self._epoch_s))
        is_idle = not self._is_sending
        self._is_sending = True
        return is_idle

    async def send(self, session: aiohttp.ClientSession | None) -> None:
        """Send what waits, and what comes meanwhile."""
        assert session is not None
        try:
            while self._waiting:
                body = "".join(self._waiting)
                self._waiting.clear()
                await self._post(session, body)
        finally:
            self._is_sending = False

    async def _post(self, session: aiohttp.ClientSession, body: str) -> None:
        headers = {"Content-Type": CONTENT_TYPE}
        limit = aiohttp.ClientTimeout(total=SEND_S_MAX)
        try:
            async with session.post(
                self._url,
                data=body.encode(),
                headers=headers,
                timeout=limit,
                allow_redirects=False,
            ) as response:
                await response.release()
                cause = "" if response.status < 300 else f"status {response.status}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = type(error).__name__
        if cause:  # whoever collects them may be down; that is not the viewer's concern
            self.lost_count += 1
            logger.debug("reports.lost cause=%s", cause)


def line(effect: ev.ReportFailure, epoch_s: float) -> str:
    """`rr`: a response was received, or (`rc=0`) none was."""
    keys = (
        f"cid={_quoted(effect.content_id)}",
        "e=rr",
        f"rc={effect.status}",
        f"sid={_quoted(effect.session_id)}",
        f"ts={round(ms_from_s(epoch_s + effect.at_s))}",
        f"url={_quoted(effect.url)}",
        "v=2",
    )
    return ",".join(keys) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
