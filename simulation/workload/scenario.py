"""Draws what a scenario does not spell out: segment sizes, and who watches what.

Every title and every viewer has a random stream of its own name, so that adding one leaves the
others as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nearcast.errors import InputError
from nearcast.media import Rendition
from nearcast.seeds import Seeds
from nearcast.units import bytes_per_s_from_kbps, kbps
from origin.catalog import RenditionEntry, SegmentEntry, Title
from simulation.scenario import (
    AudienceSpec,
    CatalogSpec,
    RenditionSpec,
    Scenario,
    TitleSpec,
    ViewerSpec,
)
from simulation.workload.audience import generated_audience

VIDEO_CODECS = "avc1.64001f"
AUDIO_CODECS = "mp4a.40.2"
INIT_BYTES = 800
# How much of one segment's complexity the next one shares.
COMPLEXITY_MEMORY = 0.7
# A rung's own deviation from what its segment's complexity would make of it.
RUNG_SPREAD = 0.03


def titles_of(scenario: Scenario) -> tuple[Title, ...]:
    """All titles, the given ones first."""
    seeds = Seeds(scenario.seed)
    specs = (*scenario.titles, *_generated(scenario.catalog))
    ids = [spec.id for spec in specs]
    if len(set(ids)) != len(ids):
        raise InputError("two titles have the same id")
    return tuple(_title(spec, scenario.catalog, seeds) for spec in specs)


def viewers_of(scenario: Scenario, titles: Iterable[Title]) -> tuple[ViewerSpec, ...]:
    """All viewers, the given ones first. Raises InputError for one who watches what is not
    there."""
    known = {title.id: title for title in titles}
    viewers = scenario.viewers
    if scenario.audience is not None:
        draw = generated_audience if scenario.audience.kind == "generated" else _audience
        viewers += draw(scenario.audience, known, Seeds(scenario.seed))
    for viewer in viewers:
        unknown = [title_id for title_id in viewer.titles if title_id not in known]
        if unknown:
            raise InputError(f"viewer {viewer.id}: there is no title {unknown[0]!r}")
    return viewers


def _generated(catalog: CatalogSpec) -> Iterable[TitleSpec]:
    for series_no in range(1, catalog.series_count + 1):
        for episode_no in range(1, catalog.episode_count + 1):
            yield TitleSpec(
                id=f"series{series_no}-s01e{episode_no:02d}",
                duration_s=catalog.episode_s,
                segment_s=catalog.segment_s,
                series=f"series{series_no}",
                season_no=1,
                episode_no=episode_no,
            )
    for film_no in range(1, catalog.film_count + 1):
        yield TitleSpec(id=f"film{film_no}", duration_s=catalog.film_s, segment_s=catalog.segment_s)


def _title(spec: TitleSpec, catalog: CatalogSpec, seeds: Seeds) -> Title:
    if spec.renditions:
        renditions = tuple(_given(spec, rendition) for rendition in spec.renditions)
    else:
        renditions = _drawn(spec, catalog, seeds.stream(f"title/{spec.id}"))
    return Title(
        id=spec.id,
        name=spec.name or spec.id,
        duration_s=spec.duration_s,
        created_wall_s=0.0,
        renditions=renditions,
        series=spec.series,
        season_no=spec.season_no,
        episode_no=spec.episode_no,
    )


def _drawn(
    spec: TitleSpec, catalog: CatalogSpec, draw: np.random.Generator
) -> tuple[RenditionEntry, ...]:
    durations_s = _durations_s(spec)
    complexity = _complexity(len(durations_s), catalog.vbr_spread, draw)
    renditions = []
    for rung_kbps in catalog.rungs_kbps:
        noise = np.exp(RUNG_SPREAD * draw.standard_normal(len(durations_s)))
        if catalog.vbr_spread == 0:
            noise[:] = 1.0
        sizes = bytes_per_s_from_kbps(rung_kbps) * np.asarray(durations_s) * complexity * noise
        segment_bytes = [max(1, round(float(size))) for size in sizes]
        renditions.append(
            _entry(f"v{rung_kbps:g}", "video", segment_bytes, durations_s, INIT_BYTES)
        )
    if catalog.audio_kbps > 0:
        rate = bytes_per_s_from_kbps(catalog.audio_kbps)
        segment_bytes = [max(1, round(rate * duration_s)) for duration_s in durations_s]
        name = f"a{catalog.audio_kbps:g}"
        renditions.append(_entry(name, "audio", segment_bytes, durations_s, INIT_BYTES))
    return tuple(renditions)


def _complexity(count: int, spread: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """(segment,) factors with mean 1: scenes last longer than a segment."""
    steps = draw.standard_normal(count)
    level = np.empty(count)
    for index, step in enumerate(steps):
        before = level[index - 1] if index else step
        keep = COMPLEXITY_MEMORY if index else 0.0
        level[index] = keep * before + math.sqrt(1 - keep * keep) * step
    factors = np.exp(spread * level)
    return np.asarray(factors / factors.mean(), dtype=np.float64)


def _given(spec: TitleSpec, rendition: RenditionSpec) -> RenditionEntry:
    durations_s = _durations_s(spec)
    if len(rendition.segment_bytes) != len(durations_s):
        raise InputError(
            f"title {spec.id}, rendition {rendition.id}: {spec.duration_s:g} s in segments of "
            f"{spec.segment_s:g} s make {len(durations_s)}, got {len(rendition.segment_bytes)} "
            "sizes"
        )
    if min(rendition.segment_bytes) < 1:
        raise InputError(f"title {spec.id}, rendition {rendition.id}: sizes must be above 0")
    return _entry(
        rendition.id, rendition.kind, rendition.segment_bytes, durations_s, rendition.init_bytes
    )


def _durations_s(spec: TitleSpec) -> list[float]:
    whole = math.floor(spec.duration_s / spec.segment_s + 1e-9)
    rest_s = spec.duration_s - whole * spec.segment_s
    return [spec.segment_s] * whole + ([rest_s] if rest_s > 1e-6 else [])


def _entry(
    rendition_id: str,
    kind: str,
    segment_bytes: Sequence[int],
    durations_s: Sequence[float],
    init_bytes: int,
) -> RenditionEntry:
    segments = []
    start_s = 0.0
    for size_bytes, duration_s in zip(segment_bytes, durations_s, strict=True):
        segments.append(SegmentEntry(start_s, duration_s, size_bytes, 0))
        start_s += duration_s
    average_kbps = kbps(sum(segment_bytes), start_s)
    peak_kbps = max(map(kbps, segment_bytes, durations_s))
    if kind == "video":
        height = max(144, min(2160, round(math.sqrt(average_kbps) * 12 / 16) * 16))
        rendition = Rendition(
            id=rendition_id,
            kind="video",
            codecs=VIDEO_CODECS,
            peak_kbps=peak_kbps,
            average_kbps=average_kbps,
            width=round(height * 16 / 9 / 2) * 2,
            height=height,
            frame_rate=25.0,
        )
    else:
        rendition = Rendition(
            id=rendition_id,
            kind="audio",
            codecs=AUDIO_CODECS,
            peak_kbps=peak_kbps,
            average_kbps=average_kbps,
            sample_rate_hz=48_000,
            channel_count=2,
        )
    return RenditionEntry(
        rendition=rendition,
        init_size_bytes=init_bytes,
        init_crc32c=0,
        segments=tuple(segments),
    )


def _audience(
    audience: AudienceSpec, titles: Mapping[str, Title], seeds: Seeds
) -> tuple[ViewerSpec, ...]:
    series: dict[str, list[Title]] = {}
    for title in titles.values():
        if title.series is not None:
            series.setdefault(title.series, []).append(title)
    for episodes in series.values():
        episodes.sort(key=lambda title: (title.season_no or 0, title.episode_no or 0))
    films = sorted(title.id for title in titles.values() if title.series is None)
    return tuple(
        _viewer(f"a{index + 1:05d}", audience, series, films, seeds.stream(f"viewer/{index}"))
        for index in range(audience.viewer_count)
    )


def _viewer(
    viewer_id: str,
    audience: AudienceSpec,
    series: Mapping[str, Sequence[Title]],
    films: Sequence[str],
    draw: np.random.Generator,
) -> ViewerSpec:
    start_s = float(draw.uniform(0, audience.arrival_s))
    last_mile = audience.last_miles[int(draw.integers(len(audience.last_miles)))]
    watches_series = bool(series) and (not films or draw.random() < audience.series_share)
    leaves_after_s = None
    if watches_series:
        episodes = series[sorted(series)[int(draw.integers(len(series)))]]
        plan = []
        for title in episodes:
            plan.append(title.id)
            if draw.random() < audience.abandon_probability:
                leaves_after_s = float(draw.uniform(0.05, 0.95)) * title.duration_s
                break
    else:
        plan = [films[int(draw.integers(len(films)))]]
    return ViewerSpec(
        id=viewer_id,
        titles=tuple(plan),
        last_mile=last_mile,
        start_s=start_s,
        gap_s=audience.gap_s,
        leaves_after_s=leaves_after_s,
    )
