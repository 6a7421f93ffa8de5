"""Asks a steering server."""

from __future__ import annotations

import aiohttp
from yarl import URL

from abr import events as ev
from abr.drivers.body import Body, DamagedBody
from abr.drivers.fields import retry_after_s

TOO_LARGE = 413


async def ask_steering(
    session: aiohttp.ClientSession, effect: ev.AskSteering, *, redirects_max: int
) -> ev.Event:
    """What it says. Raises what aiohttp raises."""
    async with session.get(URL(effect.url, encoded=True), max_redirects=redirects_max) as response:
        if response.status != 200:
            return ev.ResponseFailed(
                request_id=effect.request_id,
                detail=f"HTTP {response.status} {response.reason or ''}".rstrip(),
                status=response.status,
                retry_after_s=retry_after_s(response.headers),
            )
        try:
            body = Body(
                coding=response.headers.get("Content-Encoding", "identity"),
                byte_range=None,
                is_partial=False,
                is_resumed=False,
                keeps=True,
            )
            async for chunk in response.content.iter_any():
                body.feed(chunk)
                if body.received_bytes > effect.size_bytes_max:
                    raise DamagedBody(f"more than {effect.size_bytes_max} bytes came")
            body.end()
        except DamagedBody as error:
            return ev.ResponseFailed(
                request_id=effect.request_id, detail=str(error), status=TOO_LARGE
            )
        url = str(response.url) if response.history else effect.url
        return ev.SteeringAnswered(request_id=effect.request_id, url=url, text=body.kept)
