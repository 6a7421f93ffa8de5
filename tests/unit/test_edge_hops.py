"""Requests carry the marks of the nodes they came through, and never go round in a circle."""

from __future__ import annotations

from edge.hops import Hops, shared_loop

HERE, THERE = Hops("a1"), Hops("b2")


def test_marks_are_added_behind_those_of_others() -> None:
    once = HERE.marked((("accept", "*/*"), ("via", "1.0 proxy"), ("cdn-loop", "other; v=1")))
    assert THERE.marked(once) == (
        ("accept", "*/*"),
        ("via", "1.0 proxy, 1.1 nearcast-a1, 1.1 nearcast-b2"),
        ("cdn-loop", "other; v=1, nearcast-a1, nearcast-b2"),
    )


def test_a_request_that_comes_back_is_known() -> None:
    away = HERE.marked(())
    assert not HERE.is_loop(())
    assert not THERE.is_loop(away)
    assert HERE.is_loop(away)
    assert HERE.is_loop(THERE.marked(away))


def test_a_way_without_end_is_a_circle_whoever_marked_it() -> None:
    headers = (("cdn-loop", ", ".join(["other"] * 40)),)
    assert HERE.is_loop(headers)


def test_a_request_for_everyone_carries_no_marks_that_a_client_could_invent() -> None:
    headers = (("cdn-loop", "somecdn, nearcast-b2, x"), ("cdn-loop", "nearcast-c3"))
    assert shared_loop(headers) == (("cdn-loop", "nearcast-b2, nearcast-c3"),)
    assert shared_loop((("cdn-loop", "somecdn"),)) == ()
