"""Which beginnings the viewers of an edge make worth holding."""

import numpy as np
import pytest

from predictor.recommend.heads import Heads
from predictor.recommend.recommendations import Recommendation


def said(**chances: float) -> tuple[Recommendation, ...]:
    return tuple(
        Recommendation(title=title, probability=chance) for title, chance in chances.items()
    )


def test_a_title_many_may_start_comes_before_one_viewers_favourite() -> None:
    heads = Heads()
    for viewer in range(10):
        heads.recommended(f"v{viewer}", said(common=0.05), 0.0)
    heads.recommended("fan", said(rare=0.3, common=0.01), 0.0)
    first, second = heads.wanted(5, 1.0)
    assert (first.title, first.viewer_count) == ("common", 11)
    assert first.probability == pytest.approx(1.0 - 0.95**10 * 0.99)
    assert second.title == "rare"
    assert second.probability == pytest.approx(0.3)
    assert heads.wanted(5, 1.0, probability_min=0.35) == (first,)


def test_a_viewer_counts_once_with_the_newest_answer_and_not_after_its_lifetime() -> None:
    heads = Heads(lifetime_s=100.0)
    heads.recommended("v", said(old=0.5), 0.0)
    heads.recommended("w", said(other=0.1), 10.0)
    heads.recommended("v", said(new=0.2), 50.0)
    assert [head.title for head in heads.wanted(5, 99.0)] == ["new", "other"]
    assert [head.title for head in heads.wanted(5, 120.0)] == ["new"]
    assert heads.wanted(5, 150.0) == ()
    assert len(heads) == 0


def test_who_is_forgotten_leaves_nothing_and_viewers_are_bounded() -> None:
    heads = Heads(viewers_max=2)
    for name in ("a", "b", "c"):
        heads.recommended(name, said(**{f"of_{name}": 0.2}), 0.0)
    assert [head.title for head in heads.wanted(5, 1.0)] == ["of_b", "of_c"]
    heads.forget("b")
    heads.forget("nobody")
    assert [head.title for head in heads.wanted(5, 1.0)] == ["of_c"]


def test_what_is_kept_as_viewers_come_and_go_is_what_counting_them_anew_gives() -> None:
    rng = np.random.default_rng(4)
    heads = Heads(lifetime_s=30.0, viewers_max=20)
    said_by: dict[str, tuple[float, tuple[Recommendation, ...]]] = {}
    for now in range(200):
        viewer = f"v{rng.integers(0, 30)}"
        if rng.random() < 0.2:
            heads.forget(viewer)
            said_by.pop(viewer, None)
        else:
            titles = rng.choice(8, size=3, replace=False).tolist()
            said_now = said(**{f"t{title}": float(rng.random()) for title in titles})
            heads.recommended(viewer, said_now, float(now))
            said_by.pop(viewer, None)
            said_by[viewer] = (now + 30.0, said_now)
            if len(said_by) > 20:
                del said_by[next(iter(said_by))]
        said_by = {name: one for name, one in said_by.items() if one[0] > now}
        nobody: dict[str, float] = {}
        for _, recommendations in said_by.values():
            for one in recommendations:
                nobody[one.title] = nobody.get(one.title, 1.0) * (1.0 - one.probability)
        found = {head.title: head.probability for head in heads.wanted(100, float(now))}
        assert found == pytest.approx({title: 1.0 - none for title, none in nobody.items()})
