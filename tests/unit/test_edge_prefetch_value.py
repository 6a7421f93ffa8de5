"""What a prefetched byte is worth, which is fetched first, and what holds it back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.http.headers import Headers
from edge.config import EdgeConfig, PrefetchConfig
from edge.config.watching import WindowConfig
from edge.prefetch.accounts import Accounts
from edge.prefetch.backhaul import Backhaul
from edge.prefetch.book import Book
from edge.prefetch.budget import Budget
from edge.prefetch.displaced import EVIDENCE_BYTES, Displaced
from edge.prefetch.hours import Hours
from edge.prefetch.market import Market, Offer
from edge.prefetch.plans import Plan, Source, Want
from edge.prefetch.prices import Prices
from edge.prefetch.trust import HALF_LIFE_S, Trust
from edge.prefetch.value import Use, Worth, threshold, together, worth
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.local_time import fixed

CONFIG = PrefetchConfig()
H = 3600.0


class Wish:
    """A plan that wants one object for ever."""

    source: Source = "model"
    is_bounded = False
    about_url = "title"
    probabilities: tuple[float, ...] = ()
    headers: Headers = ()

    def __init__(self, name: str, chance: float, want: Want, order_no: int = 0) -> None:
        self.name = self.viewer_key = name
        self.chance = chance
        self.order_no = order_no
        self.want = want

    def next_want(self, now_s: float) -> Want:
        return self.want

    def wants(self, url: str) -> bool:
        return url == self.want.url


def hours(*windows: WindowConfig, utc_offset_h: float = 0.0) -> Hours:
    return Hours(windows, cost_now=1.0, epoch_s=0.0, local_time=fixed(utc_offset_h))


def market(trust: Trust | None = None) -> Market:
    return Market(
        Prices(
            CONFIG,
            hours=hours(),
            trust=trust or Trust(1e6),
            displaced=Displaced(CONFIG.lifetime_s),
            backhaul=Backhaul(),
        )
    )


def put(place: Market, *wishes: Wish) -> None:
    for wish in wishes:
        place.put(wish, wish.want)


def order(place: Market) -> list[str]:
    """The URLs as they would be fetched."""
    found: list[str] = []

    def is_left(offer: Offer) -> bool:
        return offer.url not in found

    while (best := place.best(0.0, is_left)[0]) is not None:
        found.append(best.url)
    return found


def test_the_first_seconds_pay_long_before_the_whole_does() -> None:
    assert threshold(CONFIG, "start") == pytest.approx(0.109, abs=0.001)
    assert threshold(CONFIG, "head") == pytest.approx(0.481, abs=0.001)
    assert threshold(CONFIG, "rest") == threshold(CONFIG, "head")
    assert threshold(PrefetchConfig(threshold=0.3), "rest") == pytest.approx(0.3)


@pytest.mark.parametrize(("load", "least"), [(0.0, 1.0), (0.1, 0.901), (1.0, 0.476)])
def test_a_segment_asked_for_in_a_moment_is_worth_the_wait_it_saves(
    load: float, least: float
) -> None:
    assert worth(CONFIG, 0.9, "next", load=load).threshold == pytest.approx(least, abs=0.001)


def test_a_slow_backhaul_makes_later_bytes_worth_more() -> None:
    assert worth(CONFIG, 0.4, "rest").value < 0 < worth(CONFIG, 0.4, "rest", load=1.0).value


@given(
    st.floats(0, 1),
    st.sampled_from(["start", "head", "rest", "next"]),
    st.floats(0, 5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_it_pays_exactly_above_its_threshold(
    probability: float, use: Use, cost_now: float, held_cost: float, load: float
) -> None:
    found: Worth = worth(
        CONFIG, probability, use, cost_now=cost_now, held_cost=held_cost, load=load
    )
    if abs(probability - found.threshold) > 1e-9 and found.threshold < 1:
        assert (found.value > 0) == (probability > found.threshold)
    dearer = worth(CONFIG, probability, use, cost_now=cost_now + 1, held_cost=held_cost)
    assert dearer.threshold >= worth(CONFIG, 0, use, cost_now=cost_now, held_cost=0).threshold


@given(st.lists(st.floats(0, 1), max_size=8))
def test_several_viewers_are_never_less_likely_than_one(chances: list[float]) -> None:
    assert max(chances, default=0.0) <= together(chances) + 1e-9 <= 1.0 + 1e-8


def test_heads_come_first_and_then_what_is_likeliest() -> None:
    place = market()
    put(
        place,
        Wish("a", 0.9, Want("rest of a", 1, "rest")),
        Wish("b", 0.6, Want("start of b", 1, "start")),
        Wish("c", 0.6, Want("rest of c", 1, "rest")),
        Wish("d", 0.2, Want("start of d", 1, "start")),
        Wish("e", 0.2, Want("rest of e", 1, "rest")),
        Wish("f", 0.05, Want("start of f", 1, "start")),
    )
    # By value: 4.5 for b's start, 0.9 for a's rest, 0.8 for d's start, 0.2 for c's rest.
    assert order(place) == ["start of b", "rest of a", "start of d", "rest of c"]


def test_what_is_written_down_is_for_the_use_that_it_was_priced_for() -> None:
    trust = Trust(1e6)
    place, book = market(trust), Book(10)
    accounts = Accounts(
        market=place,
        budget=Budget(1_000, 2.0, hours=hours()),
        hours=hours(),
        trust=trust,
        displaced=Displaced(CONFIG.lifetime_s),
        backhaul=Backhaul(),
        book=book,
    )
    put(
        place,
        Wish("a", 0.1, Want("u", 1, "rest")),
        Wish("b", 0.3, Want("u", 1, "start")),
        Wish("c", 0.5, Want("v", 1, "head")),
    )
    wanted, other = place.get("u"), place.get("v")
    assert wanted is not None
    accounts.started(wanted, other, 0.0)

    story = book.story("u")
    assert story is not None
    grounds = story.grounds
    assert (grounds.use, grounds.viewer_count) == ("start", 2)
    assert grounds.threshold == pytest.approx(threshold(CONFIG, "start"))
    assert grounds.value == pytest.approx(grounds.chance * grounds.gain - grounds.cost)


def test_an_object_that_one_needs_at_once_comes_before_an_equal_one() -> None:
    place = market()
    rest = Wish("a", 0.0, Want("both", 1, "rest"), order_no=9)
    put(place, rest, Wish("b", 0.3, Want("both", 1, "start"), order_no=8))
    put(place, Wish("c", 0.3, Want("start", 1, "start"), order_no=7))
    assert order(place) == ["start", "both"]


def test_equal_ones_are_served_as_they_came() -> None:
    place = market()
    wishes = [Wish(str(no), 0.7, Want(f"u{no}", 1, "head"), order_no=no) for no in (3, 1, 2)]
    put(place, *wishes)
    assert order(place) == ["u1", "u2", "u3"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),  # whose
            st.integers(0, 4),  # what; 0: nothing
            st.sampled_from(["start", "head", "rest"]),
            st.sampled_from([0.05, 0.3, 0.5, 0.8]),
        ),
        max_size=40,
    ),
    st.integers(0, 4),
)
def test_the_best_is_the_best_whatever_came_and_went(
    steps: list[tuple[int, int, Use, float]], barred: int
) -> None:
    place = market()
    wishes: dict[str, Wish] = {}
    for at, (who, what, use, chance) in enumerate(steps):
        name = str(who)
        if what == 0:
            place.withdraw(name)
            wishes.pop(name, None)
            continue
        # Dict order is what the market sees: a plan that wants something else comes last again.
        wish = Wish(name, chance, Want(f"u{what}", 1, use), order_no=who)
        old = wishes.get(name)
        if old is None or old.want.url != wish.want.url:
            wishes.pop(name, None)
        wishes[name] = wish
        put(place, wish)
        best, second = place.best(float(at), lambda offer: offer.url != f"u{barred}")
        wanted: dict[str, dict[str, tuple[Plan, Want]]] = {}
        for one in wishes.values():
            if one.want.url != f"u{barred}":
                wanted.setdefault(one.want.url, {})[one.name] = one, one.want
        values = {url: place.price(url, those, float(at)).value for url, those in wanted.items()}
        paying = sorted((value for value in values.values() if value > 0), reverse=True)
        found = [values[offer.url] for offer in (best, second) if offer is not None]
        assert found == pytest.approx(paying[:2])


def test_what_two_want_is_worth_more_than_what_one_wants() -> None:
    place = market()
    alone = Wish("alone", 0.45, Want("other", 1, "rest"))
    pair = [Wish(name, 0.4, Want("same", 1, "rest")) for name in ("one", "two")]
    put(place, alone, pair[0])
    assert order(place) == []  # neither is worth it by itself
    put(place, pair[1])
    assert order(place) == ["same"]
    offer = place.get("same")
    assert offer is not None
    assert place.worth(offer, 0.0).probability == pytest.approx(1 - 0.6 * 0.6)
    place.withdraw("two")
    assert order(place) == []


def test_one_viewer_with_two_reasons_is_one_viewer() -> None:
    place = market()
    wishes = [Wish(name, 0.4, Want("same", 1, "rest")) for name in ("one", "two")]
    wishes[1].viewer_key = "one"
    put(place, *wishes)
    assert order(place) == []


def test_a_source_whose_bytes_nobody_uses_loses_its_worth() -> None:
    trust = Trust(1e6)  # 300 MB of good faith
    place = market(trust)
    put(place, Wish("a", 0.9, Want("rest", 1, "rest")))
    assert order(place) == ["rest"]
    trust.resolved("model", 0.9, 1_000_000_000, 0.0, is_used=False)
    assert trust.factor("model", 0.0) == pytest.approx(0.25)
    assert trust.precision("model") == 0.0
    place.withdraw("a")
    put(place, Wish("a", 0.9, Want("rest", 1, "rest")))
    assert order(place) == []
    assert trust.factor("rule", 0.0) == 1.0  # that one was not wrong
    trust.resolved("model", 0.9, 1, 10 * HALF_LIFE_S, is_used=True)
    assert trust.factor("model", 10 * HALF_LIFE_S) > 0.99  # it is heard again, much later


def test_a_source_that_has_nothing_fetched_any_more_is_heard_again() -> None:
    trust = Trust(1e6)
    place = market(trust)
    trust.resolved("model", 0.9, 10_000_000_000, 0.0, is_used=False)
    put(place, Wish("a", 0.9, Want("start", 1, "start")))
    assert place.best(0.0, lambda _: True) == (None, None)
    best, _ = place.best(10 * HALF_LIFE_S, lambda _: True)
    assert best is not None
    (figures,) = trust.figures(HALF_LIFE_S)
    assert figures.trust == pytest.approx(0.3 / (0.3 + 4.5))


def test_in_a_small_store_a_wrong_source_is_found_out_before_it_has_filled_it() -> None:
    room_bytes = 40_000_000
    small, large = Trust(1e6, room_bytes), Trust(1e6, 100 * room_bytes)
    for trust in (small, large):
        trust.resolved("model", 0.9, room_bytes // 2, 0.0, is_used=False)
    assert 0.9 * small.factor("model", 0.0) < threshold(CONFIG, "rest")
    assert 0.9 * large.factor("model", 0.0) > threshold(CONFIG, "rest")


def test_a_source_that_is_right_more_often_than_it_says_gains_nothing() -> None:
    trust = Trust(1.0)
    trust.resolved("model", 0.5, 1_000_000, 0.0, is_used=True)
    assert trust.factor("model", 0.0) == 1.0


def test_room_costs_what_evicted_bytes_would_have_earned() -> None:
    displaced = Displaced(1800.0)
    assert displaced.hold_cost(1.0, 0.01) == 0.01
    size_bytes = EVIDENCE_BYTES // 10
    for no in range(10):
        displaced.evicted(f"u{no}", size_bytes, 0.0)
    assert displaced.hold_cost(1.0, 0.01) == 0.0
    displaced.fetched("u1", 100.0)
    displaced.fetched("u1", 101.0)  # once evicted, missed once
    displaced.fetched("u2", 4000.0)  # too late for a prefetch to be to blame
    assert displaced.hold_cost(2.0, 0.01) == pytest.approx(2.0 * 0.1)


def test_the_backhaul_is_measured_by_small_and_large_answers() -> None:
    backhaul = Backhaul()
    assert (backhaul.load(1000.0), backhaul.fetch_s(100_000)) == (0.0, 0.0)
    backhaul.learn(1_000, 0.2)
    backhaul.learn(1_000_000, 2.2)
    assert backhaul.rate_kbps == pytest.approx(4000.0)
    assert backhaul.load(1000.0) == pytest.approx(0.25)
    assert backhaul.load(9000.0) == 1.0
    assert backhaul.fetch_s(500_000) == pytest.approx(1.2)


def test_hours_may_pass_midnight_and_are_local() -> None:
    night = WindowConfig(hours="22:30-06:00", rate_factor=4.0, cost_now=0.1)
    local = hours(night, utc_offset_h=2.0)
    for utc_h, is_night in ((20.0, False), (20.6, True), (23.0, True), (3.9, True), (4.0, False)):
        tariff = local.tariff(utc_h * H)
        assert (tariff.name == "22:30-06:00") is is_night
        assert tariff.cost_now == (0.1 if is_night else 1.0)
    assert local.change_s(19.0 * H) == pytest.approx(20.5 * H, abs=0.1)
    assert local.change_s(21.0 * H) == pytest.approx(22.0 * H, abs=0.1)  # midnight there


def test_nothing_is_fetched_in_closed_hours() -> None:
    budget = Budget(80.0, 2.0, hours=hours(WindowConfig(hours="18:00-23:00", rate_factor=0.0)))
    assert not budget.is_dry(17.9 * H)
    assert budget.is_dry(18.1 * H)
    assert budget.describe(18.1 * H) == "nothing is prefetched at this hour"
    ready_s = budget.ready_s(18.1 * H)
    assert ready_s == pytest.approx(23.0 * H, abs=0.1)
    assert not budget.is_dry(ready_s + 1.0)


def test_bytes_a_day_are_kept_until_midnight() -> None:
    budget = Budget(80_000.0, 2.0, hours=hours(), bytes_per_day=1_000)
    budget.charge(999, 10 * H)
    assert not budget.is_dry(10 * H)
    budget.charge(1, 10 * H)
    assert budget.is_dry(10.5 * H)
    assert budget.ready_s(10.5 * H) == pytest.approx(24 * H, abs=0.1)
    assert not budget.is_dry(24 * H + 1)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 50_000)), max_size=60),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_no_more_arrives_than_the_budget_allows(
    steps: list[tuple[float, int]], factor: float
) -> None:
    """Whoever asks first and stops when told never takes more than burst and rate, plus what was
    on its way when the bucket ran dry."""
    window = WindowConfig(hours="00:00-00:01", rate_factor=factor)
    budget = Budget(80.0, 2.0, hours=hours(window))  # 10 kB/s, 20 kB at once
    now_s, taken_bytes, largest_bytes = 0.0, 0, 0
    for step_s, size_bytes in steps:
        now_s += step_s
        if budget.is_dry(now_s):
            assert budget.ready_s(now_s) > now_s
            continue
        budget.charge(size_bytes, now_s)
        taken_bytes += size_bytes
        largest_bytes = max(largest_bytes, size_bytes)
        assert taken_bytes <= 20_000 + 10_000 * now_s * max(factor, 1.0) + largest_bytes + 1


@pytest.mark.parametrize("text", ["22:00", "25:00-01:00", "01:60-02:00", "05:00-05:00", "x-y"])
def test_hours_that_are_none_are_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="hours"):
        load(
            EdgeConfig,
            role="edge",
            assignments=[f'prefetch.windows=[{{"hours": "{text}"}}]'],
        )
