from __future__ import annotations

import pytest

from cache.config import CacheConfig
from cache.index import ENTRY_BYTES, Index
from nearcast.errors import ConfigError, LocalProtocolError


def lru_index(
    capacity_bytes: int = 100,
    memory_capacity_bytes: int = 0,
    memory_object_bytes_max: int = 1000,
    prefetch_share: float = 0.5,
    index_bytes_max: int = 1000 * ENTRY_BYTES,
    admission: str = "always",
) -> Index:
    return Index(
        CacheConfig(
            capacity_bytes=capacity_bytes,
            memory_capacity_bytes=memory_capacity_bytes,
            memory_object_bytes_max=memory_object_bytes_max,
            prefetch_share=prefetch_share,
            index_bytes_max=index_bytes_max,
            eviction="lru",
            admission=admission,
        )
    )


def test_room_is_made_by_the_policy_and_bytes_are_counted() -> None:
    index = lru_index()
    for object_id in ("a", "b", "c"):
        assert index.add(object_id, 30, 0).evicted == ()
    index.touch("a")
    assert index.add("d", 40, 2).evicted == ("b",)
    assert index.sizes() == {"a": 30, "c": 30, "d": 40}
    assert index.size_bytes == 100


def test_what_can_never_fit_is_refused_and_evicts_nothing() -> None:
    index = lru_index()
    index.add("a", 30, 0)
    admission = index.add("b", 101, 0)
    assert (admission.refusal, admission.evicted) == ("too large", ())
    assert index.sizes() == {"a": 30}


def test_an_unknown_policy_is_a_config_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="s3fifo, sieve, lru"):
        Index(CacheConfig(eviction="clairvoyant"))


def test_adding_what_is_resident_is_a_bug_of_the_caller() -> None:
    index = lru_index()
    index.add("a", 1, 0)
    with pytest.raises(LocalProtocolError):
        index.add("a", 1, 0)


def test_prefetched_objects_are_not_in_the_eviction_queue() -> None:
    index = lru_index()
    index.add("next", 40, 0, prefetch_until_s=100)
    index.add("a", 60, 1)
    assert index.add("b", 60, 2).evicted == ("a",)
    assert "next" in index


def test_the_first_use_of_a_prefetched_object_moves_it_to_main() -> None:
    index = lru_index()
    index.add("next", 40, 0, prefetch_until_s=100)
    assert index.prefetched_bytes == 40
    assert index.touch("next").prefetched_bytes == 40
    assert index.touch("next").prefetched_bytes == 0
    assert (index.prefetched_bytes, index.size_bytes) == (0, 40)
    assert (index.prefetch_used_bytes, index.prefetch_wasted_bytes) == (40, 0)
    assert index.segment("next") == "main"
    assert index.expire(1000) == ()


def test_prefetched_objects_leave_when_their_time_is_over() -> None:
    index = lru_index()
    index.add("late", 10, 0, prefetch_until_s=20)
    index.add("soon", 15, 0, prefetch_until_s=10)
    assert index.deadline_s() == 10
    assert index.expire(9.9) == ()
    assert index.expire(10) == ("soon",)
    assert index.deadline_s() == 20
    assert index.prefetch_wasted_bytes == 15
    assert index.add("a", 1, 30).evicted == ("late",)
    assert index.deadline_s() is None


def test_prefetched_objects_stay_within_their_share() -> None:
    index = lru_index()
    index.add("soon", 30, 0, prefetch_until_s=10)
    # 30 + 40 > 50: the one that expires first makes room, never the other way round.
    assert index.add("late", 40, 0, prefetch_until_s=20).evicted == ("soon",)
    refused = index.add("sooner", 20, 0, prefetch_until_s=15)
    assert (refused.refusal, refused.evicted) == ("prefetch full", ())
    assert index.add("huge", 51, 0, prefetch_until_s=99).refusal == "prefetch full"
    assert index.sizes() == {"late": 40}


def test_a_prefetched_object_takes_room_from_main() -> None:
    index = lru_index()
    index.add("a", 60, 0)
    index.add("b", 40, 0)
    assert index.add("next", 30, 0, prefetch_until_s=20).evicted == ("a",)


def test_demand_takes_prefetched_room_only_when_main_is_empty() -> None:
    index = lru_index()
    index.add("late", 20, 0, prefetch_until_s=20)
    index.add("soon", 20, 0, prefetch_until_s=10)
    index.add("a", 50, 0)
    assert index.add("big", 80, 0).evicted == ("a", "soon")


def test_a_prefetch_can_be_kept_longer_but_not_shorter() -> None:
    index = lru_index()
    index.add("a", 10, 0, prefetch_until_s=10)
    assert index.extend("a", 30)
    assert index.extend("a", 20)
    assert index.deadline_s() == 30
    assert index.expire(15) == ()
    index.touch("a")
    assert not index.extend("a", 40)


def test_pinned_objects_stay() -> None:
    index = lru_index()
    index.add("a", 60, 0)
    index.add("p", 10, 0, prefetch_until_s=5)
    assert index.pin("a")
    assert index.pin("p")
    assert index.expire(100) == ()
    assert index.add("b", 50, 0).refusal == "pinned full"
    assert index.touch("p").prefetched_bytes == 10
    assert index.unpin("a")
    assert not index.unpin("a")
    assert index.add("b", 50, 0).evicted == ("a",)
    assert not index.pin("a")


def test_a_removed_prefetch_is_waste() -> None:
    index = lru_index()
    index.add("a", 10, 0, prefetch_until_s=10)
    assert index.remove("a")
    assert not index.remove("a")
    assert index.prefetch_wasted_bytes == 10
    assert index.deadline_s() is None


def test_a_late_hit_on_an_evicted_object_changes_nothing() -> None:
    index = lru_index()
    use = index.touch("gone")
    assert (use.prefetched_bytes, use.is_loaded, use.unloaded) == (0, False, ())
    assert len(index) == 0


def test_memory_holds_the_objects_used_last() -> None:
    index = lru_index(memory_capacity_bytes=50, memory_object_bytes_max=30)
    assert index.add("a", 30, 0).is_in_memory
    assert index.add("b", 20, 0).is_in_memory
    assert not index.add("big", 31, 0).is_in_memory
    index.touch("a")
    admission = index.add("c", 10, 2)
    assert (admission.is_in_memory, admission.unloaded) == (True, ("b",))
    use = index.touch("b")
    assert (use.is_loaded, use.unloaded) == (True, ("a",))
    assert index.memory_bytes == 30
    index.remove("b")
    assert index.memory_bytes == 10


def test_prefetched_and_restored_objects_enter_memory_when_used() -> None:
    index = lru_index(memory_capacity_bytes=50)
    assert not index.add("next", 10, 0, prefetch_until_s=9).is_in_memory
    assert not index.add("old", 10, 0, is_restored=True).is_in_memory
    assert index.touch("next").is_loaded
    assert index.touch("old").is_loaded
    assert not index.touch("old").is_loaded


def test_admission_is_asked_for_demand_alone() -> None:
    index = lru_index(admission="second_hit")
    assert index.add("a", 1, 0).refusal == "not admitted"
    assert index.add("a", 1, 0).is_admitted
    assert index.add("b", 1, 0, prefetch_until_s=5).is_admitted
    assert index.add("c", 1, 0, is_restored=True).is_admitted
    assert index.add("d", 1, 0, is_pinned=True).is_admitted


def test_empty_objects_are_bounded_by_their_number() -> None:
    index = lru_index(index_bytes_max=2 * ENTRY_BYTES)
    index.add("a", 0, 0)
    index.add("b", 0, 0)
    assert index.add("c", 0, 0).evicted == ("a",)
    assert len(index) == 2


def test_what_is_known_of_small_objects_is_bounded() -> None:
    index = lru_index(index_bytes_max=3 * ENTRY_BYTES)
    index.add("a", 1, 0)
    index.add("b", 1, 0)
    assert index.add("tagged", 1, 0, index_bytes=2 * ENTRY_BYTES).evicted == ("a",)
    assert index.add("all tags", 1, 0, index_bytes=4 * ENTRY_BYTES).refusal == "too large"
    index.remove("tagged")
    assert index.index_bytes == ENTRY_BYTES
