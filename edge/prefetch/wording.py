"""An explanation in words, for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from edge.prefetch.explanation import Explanation, Told
from edge.prefetch.plans import SOURCES
from nearcast.horizons import HORIZONS
from nearcast.units import HOUR_S

WIDTH: Final = 80
_INDENT: Final = 14
_S_PER_MIN: Final = 60.0

_STATES: Final = {
    "queued": "worth fetching, waiting for its turn",
    "fetching": "being fetched",
    "held": "here, not yet asked for",
    "used": "asked for",
    "refused": "not worth its bytes",
    "dropped": "given up",
    "wasted": "let go before anyone asked",
}


def lines(explained: Explanation) -> Iterator[str]:
    """What is known of the object, the decision with its grounds, and what holds now."""
    yield from _wrapped(explained.url)
    yield ""
    if not explained.is_known:
        yield from _wrapped(
            "Nothing is known of this URL: it is on no manifest that this edge has read, it is "
            "not in the store, and no request for it is remembered."
        )
        yield from _row("now", _now(explained))
        return
    yield from _row("is", _what(explained))
    yield from _row("store", _where(explained))
    yield from _row("asked", _asked(explained))
    yield from _foreseen(explained)
    yield from _decided(explained)
    yield from _row("now", _now(explained))
    for one in explained.measured:
        precision = f"{one.precision:.0%} of its bytes used" if one.precision is not None else ""
        yield from _row("measured", f"{one.source}: believed {one.trust:.2f}, {precision}")


def _what(explained: Explanation) -> str:
    if explained.is_manifest:
        return "a manifest or playlist"
    if explained.title_url is None:
        return "on no manifest that this edge has read"
    if explained.rendition is None:
        return f"a text of {explained.title_url}"
    part = f"segment {explained.segment_no}" if explained.segment_no else "the initialisation"
    return f"{part} of rendition {explained.rendition} of {explained.title_url}"


def _where(explained: Explanation) -> str:
    held = {
        None: "not in the store",
        "main": "in the store",
        "prefetched": "in the store, fetched ahead, not yet asked for",
        "pinned": "in the store, pinned",
    }[explained.resident]
    if explained.size_bytes is not None:
        held += f", {explained.size_bytes} bytes"
    if explained.in_flight is not None:
        held += f"; being fetched ({explained.in_flight}, {explained.received_bytes} bytes so far)"
    if explained.failed_until_s is not None:
        held += f"; could not be had, left alone for {_span(explained.failed_until_s)}"
    return held


def _asked(explained: Explanation) -> str:
    if explained.asked_ago_s is not None:
        return f"by a client, fetched for it {_span(explained.asked_ago_s)} ago"
    if explained.resident == "main":
        return "by a client, answered from the store"
    return "by no client, as far as is remembered"


def _foreseen(explained: Explanation) -> Iterator[str]:
    title = explained.title
    if title is None:
        return
    if title.source == "titles":
        yield from _row(
            "foreseen",
            f"by {SOURCES[title.source]} {_span(title.ago_s)} ago: {title.chance:.2f} that any "
            "viewer takes it up while it would be kept",
        )
        return
    chances = ", ".join(
        f"{chance:.2f} within {horizon}"
        for chance, horizon in zip(title.probabilities, HORIZONS, strict=False)
    )
    yield from _row(
        "foreseen",
        f"by {SOURCES[title.source]} {_span(title.ago_s)} ago, with {title.share:.0%} of the "
        f"title before it watched: {chances}; {title.chance:.2f} while it would be kept",
    )


def _decided(explained: Explanation) -> Iterator[str]:
    grounds = explained.grounds
    if grounds is None:
        yield from _row("decision", "none was needed: it was no plan's next object")
        return
    last = explained.story[-1]
    yield from _row("decision", f"{_STATES[last.state]}{_detail(last)}")
    yield from _row("why", f"wanted by {SOURCES[grounds.source]}, as {_use(grounds.use)}")
    if grounds.source == "titles":
        viewers = "whoever may take it up"
    else:
        viewers = "one viewer" if grounds.viewer_count == 1 else f"{grounds.viewer_count} viewers"
    trust = f", believed {grounds.trust:.2f}" if grounds.trust < 1 else ""
    yield from _row("probability", f"{grounds.chance:.3f} for {viewers}{trust}")
    yield from _row("threshold", f"{grounds.threshold:.3f}: from there on it pays")
    yield from _row(
        "value",
        f"{grounds.value:+.3f} a byte = {grounds.chance:.3f} x {grounds.gain:.2f} gained if used "
        f"- {grounds.cost:.3f} spent; about {grounds.size_bytes} bytes",
    )
    hours = f", hours {grounds.tariff}" if grounds.tariff else ""
    yield from _row("budget then", f"{grounds.budget}{hours}")
    if grounds.runner_up_url is not None:
        yield from _row("runner-up", f"{grounds.runner_up_url} ({grounds.runner_up_value:+.3f})")
    elif last.state not in ("refused", "queued"):
        yield from _row("runner-up", "none: nothing else was worth fetching")
    for step in explained.story:
        yield from _row("", f"{_span(step.ago_s):>8} ago  {_STATES[step.state]}{_detail(step)}")


def _now(explained: Explanation) -> str:
    waits = explained.waits_for
    return f"budget: {explained.budget}; " + (
        f"no prefetch starts: {waits}" if waits is not None else "a prefetch could start"
    )


def _detail(step: Told) -> str:
    return f" ({step.detail})" if step.detail else ""


def _use(use: str) -> str:
    return {
        "start": "what a start-up waits for",
        "head": "part of the first half minute",
        "rest": "part of what comes later",
        "next": "its player's next segment",
    }[use]


def _span(time_s: float) -> str:
    if time_s < 2 * _S_PER_MIN:
        return f"{time_s:.1f} s"
    if time_s < 2 * HOUR_S:
        return f"{time_s / _S_PER_MIN:.0f} min"
    return f"{time_s / HOUR_S:.1f} h"


def _row(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{name:<{_INDENT}}",
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)
