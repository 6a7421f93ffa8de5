from __future__ import annotations

from cache.http.vary import is_match, secondary_key, vary_names


def test_names_are_sorted_and_each_once() -> None:
    assert vary_names((("vary", "Origin, accept"), ("vary", "ORIGIN"))) == ("accept", "origin")
    assert vary_names(()) == ()
    assert vary_names((("vary", "a"), ("vary", "*"))) is None


def test_requests_that_mean_the_same_have_the_same_key() -> None:
    response = (("vary", "accept-encoding, x-device"),)
    one = (("accept-encoding", "gzip, br;q=0.5"), ("x-device", "a   b"))
    two = (("x-device", "a b"), ("accept-encoding", "BR; q=0.5"), ("accept-encoding", "gzip"))
    assert secondary_key(response, one) == secondary_key(response, two)


def test_values_that_differ_in_case_are_different() -> None:
    response = (("vary", "x-device"),)
    assert secondary_key(response, (("x-device", "tv"),)) != secondary_key(
        response, (("x-device", "TV"),)
    )


def test_absent_and_empty_differ() -> None:
    response = (("vary", "accept-encoding"),)
    assert secondary_key(response, ()) == ()
    assert secondary_key(response, (("accept-encoding", ""),)) == (("accept-encoding", ""),)


def test_star_matches_nothing() -> None:
    assert secondary_key((("vary", "*"),), ()) is None
    assert not is_match((("vary", "*"),), (), ())


def test_match_is_by_the_stored_response_fields() -> None:
    response = (("vary", "origin"),)
    assert is_match(response, (("origin", "https://a"),), (("origin", "https://a"),))
    assert not is_match(response, (("origin", "https://a"),), (("origin", "https://b"),))
    assert not is_match(response, (("origin", "https://a"),), ())


def test_vary_that_names_no_field_matches_nothing() -> None:
    assert vary_names((("vary", "a b"),)) is None
    assert vary_names((("vary", "accept, (x)"),)) is None
    assert secondary_key((("vary", "a b"),), ()) is None
