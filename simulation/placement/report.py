"""The table of planners, on 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.placement.options import Options
from simulation.placement.study import PlacementStudy


def lines(study: PlacementStudy, options: Options, source: str) -> Iterator[str]:
    yield (
        f"{source}: {study.sessions} sessions on {study.edges} edges, days "
        f"{study.warmup_days}-{study.days - 1} counted: {study.served_bytes / 1e12:.1f} TB served"
    )
    yield (
        f"each edge holds {study.storage_bytes / 1e9:.0f} GB, {study.storage_share:.1%} of the "
        "catalogue"
    )
    settings = options.settings
    yield (
        f"nearcast: plans every {options.every_hours} h, {settings.pinned_share:.0%} by plan; "
        f"fills {', '.join(settings.windows)},"
    )
    yield (
        f"up to {settings.fill_kbps / 1000:g} Mbit/s and {settings.fill_share:.0%} of what is "
        "served"
    )
    yield ""
    yield (
        f"{'planner':<16}{'byte hits':>11}{'fills':>9}{'worst hour':>13}{'worst flow':>13}"
        f"{'worst edge':>13}"
    )
    for row in study.rows:
        yield (
            f"{row.planner:<16}{row.byte_hit_ratio:11.3f}{row.fill_ratio:9.3f}"
            f"{row.worst_hour_ratio:13.3f}{row.worst_flow_ratio:13.3f}"
            f"{min(row.edge_hit_ratios):13.3f}"
        )
    yield ""
    yield "byte hits, fills: of the bytes served; worst hour: most missed by viewers within"
    yield "one hour; worst flow: most missed and filled within one, each over the most sent"
    yield "to viewers in one; worst edge: its byte hits"
