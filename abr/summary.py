"""Reports for people, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abr.live_line import clock_text, rate_text
from abr.report import SessionReport, ViewerReport
from nearcast.units import format_size

URL_WIDTH = 78
HOST_WIDTH = 38


def session_lines(session: SessionReport) -> Iterator[str]:
    """One title."""
    url = session.url
    yield url if len(url) <= URL_WIDTH else f"...{url[3 - URL_WIDTH :]}"
    ended = {"finished": "played to the end", "left": "left", "failed": "FAILED"}[session.ended]
    yield f"  {ended} after {clock_text(session.played_s)} of playback"
    if session.detail:
        yield f"  {session.detail}"
    startup = "never" if session.startup_s is None else f"{session.startup_s:.2f} s"
    source = {True: " (from the edge)", False: "", None: ""}[session.started_from_edge]
    yield f"  start-up   {startup}{source}"
    yield f"  stalls     {session.stall_count}, {session.stalled_s:.2f} s"
    if session.bitrate_kbps is not None and session.qoe_linear is not None:
        yield (
            f"  bitrate    {rate_text(session.bitrate_kbps)}, "
            f"{session.switch_count} switches, QoE {session.qoe_linear:.2f} a segment"
        )
    yield (
        f"  network    {session.response_count} answers, {session.edge_hit_count} edge hits, "
        f"{format_size(session.received_bytes)}, {format_size(session.hit_bytes)} of it from hits"
    )
    if session.abandon_count:
        yield f"  abandoned  {session.abandon_count} segments that came too slowly"
    if session.failure_count:
        yield (
            f"  failures   {session.failure_count} requests, {session.retry_count} retries, "
            f"{session.failover_count} at another host"
        )
    if session.skipped_count:
        yield f"  skipped    {session.skipped_count} missing segments, {session.skipped_s:.2f} s"
    steering = session.steering
    if steering is not None:
        yield (
            f"  steering   {steering.answer_count} answers, {steering.failure_count} failed, "
            f"{steering.switch_count} switches of pathway"
        )
        for each in steering.pathways:
            size = format_size(each.received_bytes)
            yield f"  pathway    {each.pathway[:HOST_WIDTH]}: {each.segment_count} segments, {size}"
    if len(session.hosts) > 1:
        for use in session.hosts:
            host = use.host if len(use.host) <= HOST_WIDTH else f"{use.host[: HOST_WIDTH - 3]}..."
            yield f"  host       {host}: {use.request_count} requests, {use.failure_count} failed"


def schedule_lines(viewers: Sequence[ViewerReport]) -> Iterator[str]:
    """A row a viewer."""
    yield f"{'viewer':<14}{'titles':>7}{'played':>9}{'stalled':>9}{'start-up':>10}" + (
        f"{'bitrate':>12}{'hits':>8}  ended"
    )
    for viewer in viewers:
        startups = [each.startup_s for each in viewer.sessions if each.startup_s is not None]
        startup = f"{sum(startups) / len(startups):.2f} s" if startups else "-"
        hits = f"{viewer.edge_hit_count}/{viewer.response_count}"
        ended = viewer.sessions[-1].ended if viewer.sessions else "-"
        yield (
            f"{viewer.viewer_id[:13]:<14}{len(viewer.sessions):>7}{viewer.played_s:>7.1f} s"
            f"{viewer.stalled_s:>7.2f} s{startup:>10}{rate_text(viewer.bitrate_kbps):>12}"
            f"{hits:>8}  {ended}"
        )
