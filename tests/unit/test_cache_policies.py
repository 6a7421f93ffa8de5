"""Golden replays, each worked out by hand from the algorithm in the policy's paper."""

from __future__ import annotations

from cache.admission import build_admission
from cache.admission.second_hit import SecondHit, SecondHitParams
from cache.eviction import EvictionPolicy
from cache.eviction.lru import Lru
from cache.eviction.s3fifo import S3Fifo, S3FifoParams
from cache.eviction.sieve import Sieve


def fill(policy: EvictionPolicy, ids: str) -> None:
    for object_id in ids:
        policy.insert(object_id, 1)


def victims(policy: EvictionPolicy, count: int) -> str:
    return "".join(policy.victim() for _ in range(count))


def test_lru_evicts_what_was_used_longest_ago() -> None:
    lru = Lru(4)
    fill(lru, "abcd")
    lru.hit("a")
    lru.remove("c")
    assert victims(lru, 3) == "bda"


def test_sieve_spares_marked_objects_where_they_are() -> None:
    # Seven objects, A newest; A, B, G and D are marked; the hand is at the oldest.
    sieve = Sieve(7)
    fill(sieve, "GFEDCBA")
    for object_id in "ABGD":
        sieve.hit(object_id)
    evicted = []
    for object_id in "HADIBJ":
        if object_id in "ABD":
            sieve.hit(object_id)
        else:
            evicted.append(sieve.victim())
            sieve.insert(object_id, 1)
    # H: the hand clears G and evicts F. I: evicts E. J: clears D, evicts C.
    assert evicted == ["F", "E", "C"]


def test_sieve_hand_wraps_past_the_newest() -> None:
    sieve = Sieve(3)
    fill(sieve, "abc")
    for object_id in "abc":
        sieve.hit(object_id)
    # All three marks are cleared on the first round, then the oldest goes.
    assert victims(sieve, 1) == "a"
    sieve.hit("b")
    # The hand stands on b: cleared and passed; c is unmarked.
    assert victims(sieve, 2) == "cb"


def test_sieve_hand_survives_the_removal_of_its_object() -> None:
    sieve = Sieve(4)
    fill(sieve, "abcd")
    sieve.hit("a")
    assert victims(sieve, 1) == "b"  # the hand now stands on c
    sieve.remove("c")
    assert victims(sieve, 2) == "da"


def s3fifo(capacity_bytes: int = 10) -> S3Fifo:
    """Small holds one byte of ten, as in the paper; the ghost remembers nine. It has evicted
    before, so that newcomers enter small."""
    policy = S3Fifo(capacity_bytes, S3FifoParams(small_share=0.1))
    policy.insert("first", 1)
    assert policy.victim() == "first"
    return policy


def test_s3fifo_fills_main_with_what_small_has_no_room_for() -> None:
    policy = S3Fifo(4, S3FifoParams(small_share=0.25))
    fill(policy, "abcd")  # a is all of small; the others wait in main
    assert policy.victim() == "a"
    policy.insert("e", 1)  # from the first eviction on, newcomers enter small
    policy.hit("b")
    # Small at its share goes first; then main gives b another round.
    assert victims(policy, 4) == "ecdb"


def test_s3fifo_lets_one_hit_wonders_go_first_in_first_out() -> None:
    policy = s3fifo()
    fill(policy, "abc")
    policy.hit("a")  # one hit is not enough: the paper asks for freq > 1
    assert victims(policy, 3) == "abc"


def test_s3fifo_keeps_what_was_hit_twice() -> None:
    policy = s3fifo()
    fill(policy, "abc")
    policy.hit("a")
    policy.hit("a")
    # a moves to main, b leaves small; c is all of small's share, so it goes before main's a.
    assert victims(policy, 3) == "bca"


def test_s3fifo_returns_a_remembered_object_to_main() -> None:
    policy = s3fifo()
    fill(policy, "ab")
    assert victims(policy, 1) == "a"
    policy.insert("a", 1)  # in the ghost: straight to main
    policy.insert("c", 1)
    assert victims(policy, 3) == "bca"


def test_s3fifo_forgets_the_oldest_ghosts() -> None:
    policy = s3fifo()
    fill(policy, "abcdefghij")
    assert victims(policy, 10) == "abcdefghij"  # the ghost holds 9: a is forgotten
    fill(policy, "ab")  # a to small, b to main
    assert victims(policy, 2) == "ab"


def test_s3fifo_main_gives_another_round_per_hit() -> None:
    policy = s3fifo()
    fill(policy, "abc")
    assert victims(policy, 3) == "abc"
    fill(policy, "abc")  # all in main now, nothing in small
    for _ in range(5):
        policy.hit("a")  # counts three at most
    policy.hit("b")
    # Rounds: a2 b0 out:c; then a1, out:b; a0 (alone), out:a.
    assert victims(policy, 3) == "cba"


def test_s3fifo_prefers_main_while_small_is_below_its_share() -> None:
    policy = S3Fifo(100, S3FifoParams(small_share=0.5))
    policy.insert("a", 60)
    assert policy.victim() == "a"
    policy.insert("a", 60)  # main
    policy.insert("b", 10)  # small, below its 50 bytes
    assert victims(policy, 2) == "ab"


def test_a_removed_object_is_not_remembered() -> None:
    policy = s3fifo()
    fill(policy, "ab")
    policy.remove("a")
    fill(policy, "ac")  # a is new again: small, behind b
    assert victims(policy, 3) == "bac"


def test_second_hit_admits_the_second_time_once() -> None:
    gate = SecondHit(100)
    assert [gate.admits("a", 10) for _ in range(4)] == [False, True, False, True]


def test_second_hit_memory_is_bounded_in_bytes_and_count() -> None:
    gate = SecondHit(100, SecondHitParams(memory_count_max=3))
    assert not any(gate.admits(object_id, 10) for object_id in "abcd")
    assert not gate.admits("a", 10)  # four ids ago: forgotten
    assert gate.admits("d", 10)
    assert not gate.admits("big", 101)
    assert not gate.admits("big", 101)


def test_size_limit_is_a_share_of_the_tier() -> None:
    gate = build_admission("size_limit", 1000)
    assert gate.admits("a", 20)
    assert not gate.admits("a", 21)
