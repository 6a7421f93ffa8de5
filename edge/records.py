"""What an edge writes down about its own doing, for reports and for comparing runs.

No record names a viewer or a client: who asked is not in the vocabulary.
"""

from __future__ import annotations

from typing import Literal

from nearcast.record import Record

AnswerSource = Literal["store", "fill", "upstream", "own"]
"""store: resident. fill: while it was being fetched. upstream: passed through. own: short text."""

FillResult = Literal["stored", "not_stored", "not_modified", "failed", "cancelled"]


class Answered(Record, frozen=True, kw_only=True, tag="edge.answered"):
    """One request was answered. `sent_bytes` counts the body that reached the client."""

    url: str
    source: AnswerSource
    status: int | None  # None: not known, as with answers passed through
    sent_bytes: int
    is_prefetched: bool = False  # first use of an object that was fetched ahead


class FillDone(Record, frozen=True, kw_only=True, tag="edge.fill_done"):
    """A fetch from upstream is over. `detail` says why it was not stored."""

    url: str
    is_prefetch: bool
    result: FillResult
    received_bytes: int
    took_s: float
    detail: str = ""


class ObjectLeft(Record, frozen=True, kw_only=True, tag="edge.object_left"):
    """A resident object made room, expired, was replaced, purged or lost."""

    url: str
    size_bytes: int
    reason: Literal["evicted", "expired", "replaced", "invalidated", "purged", "lost"]


class Purged(Record, frozen=True, kw_only=True, tag="edge.purged"):
    """A purge is done. `count`: the objects that were dropped or made stale."""

    kind: Literal["url", "prefix", "tag"]
    value: str
    is_soft: bool
    count: int


class TitleLearned(Record, frozen=True, kw_only=True, tag="edge.title_learned"):
    url: str
    segment_count: int


class ManifestIgnored(Record, frozen=True, kw_only=True, tag="edge.manifest_ignored"):
    url: str
    detail: str


class CheckpointReached(Record, frozen=True, kw_only=True, tag="edge.checkpoint_reached"):
    """A viewer has played this share of a title."""

    title_url: str
    share: float


class PrefetchDecided(Record, frozen=True, kw_only=True, tag="edge.prefetch_decided"):
    """Whether any of the successor is worth its bytes: from `threshold` on its first seconds
    are."""

    title_url: str
    successor_url: str
    share: float
    is_wanted: bool
    by: Literal["model", "rule", "observed"]
    probability: float
    threshold: float


class ModelSeen(Record, frozen=True, kw_only=True, tag="edge.model_seen"):
    model_id: str | None
    detail: str


class CatalogSeen(Record, frozen=True, kw_only=True, tag="edge.catalog_seen"):
    revision: str
    title_count: int
