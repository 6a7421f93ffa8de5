"""Whatever happens to models, in whichever order: there is one active one, or none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.models.effects import FetchModel, StopModel
from edge.models.events import (
    PASSING,
    ModelFetched,
    ModelLost,
    ModelRefused,
    ModelsOffered,
    ModelUnusable,
    Offer,
    Refusal,
)
from tests.models_bench import ModelsBench, held, honest, inverted, offer

OFFERS = (offer("m1", 1), offer("m2", 2), offer("m3", 3))
REASONS: tuple[Refusal, ...] = ("unreachable", "untrusted", "schema", "memory")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("bring"), st.integers(0, 2)),
        st.tuples(st.just("watch"), st.just(40)),
        st.tuples(st.just("offer"), st.sets(st.integers(0, 2))),
        st.tuples(st.just("fetched"), st.booleans()),
        st.tuples(st.just("refused"), st.sampled_from(REASONS)),
        st.tuples(st.just("ready"), st.integers(0, 1)),
        st.tuples(st.just("unusable"), st.sampled_from(REASONS)),
        st.tuples(st.just("lost"), st.tuples(st.integers(0, 1), st.booleans())),
        st.tuples(st.just("watch"), st.sampled_from((1, 30))),
        st.tuples(st.just("invert"), st.sampled_from(("local", "m1", "m2", "m3"))),
        st.tuples(st.just("wait"), st.sampled_from((10.0, 1e5))),
    ),
    max_size=40,
)


class Machine:
    """Plays a driver to whom anything may happen."""

    def __init__(self) -> None:
        self.bench = ModelsBench(
            shadow_outcomes=40, probation_outcomes=40, window=60, shadow_s_max=5e4, poll_s=50.0
        )
        self.bench.answers.update(dict.fromkeys(("m1", "m2", "m3"), honest))
        self.bench.begin()
        self.loading: list[int] = []
        self.refused: set[str] = set()
        self.seen = 0

    def step(self, what: str, how: object) -> None:
        bench = self.bench
        fetching = bench.lifecycle.figures(bench.now_s).fetching
        runs = sorted(bench.running)
        match what, how:
            case "offer", set():
                bench.feed(ModelsOffered(offers=tuple(OFFERS[index] for index in sorted(how))))
            case "bring", int():
                bench.feed(ModelsOffered(offers=OFFERS[: how + 1]))
                wanted = bench.lifecycle.figures(bench.now_s).fetching
                if wanted is not None:
                    bench.feed(ModelFetched(held=held(by_id(wanted))))
                if bench.running:
                    bench.ready(max(bench.running))
            case "fetched", _ if fetching is not None:
                bench.feed(ModelFetched(held=held(by_id(fetching))))
            case "refused", str() if fetching is not None:
                bench.feed(ModelRefused(model_id=fetching, reason=how, detail=""))  # type: ignore[arg-type]
                self.refused |= {fetching} - ({fetching} if how in PASSING else set())
            case "ready", int() if runs:
                bench.ready(runs[how % len(runs)])
            case "unusable", str() if runs:
                bench.feed(ModelUnusable(run_id=runs[-1], reason=how, detail=""))  # type: ignore[arg-type]
            case "lost", (int(index), bool(is_final)) if runs:
                run_id = runs[index % len(runs)]
                bench.feed(ModelLost(run_id=run_id, detail="", is_final=is_final))
            case "watch", int():
                bench.watch(how)
            case "invert", str():
                bench.answers[how] = inverted
            case "wait", float():
                bench.pass_time(how)
            case _:
                pass
        self.check()

    def check(self) -> None:
        bench = self.bench
        figures = bench.lifecycle.figures(bench.now_s)
        assert len(bench.running) <= 2
        if bench.active is not None and bench.active in bench.running:
            assert figures.models[0].state in ("active", "probation")
        assert len(figures.models) == len(bench.running)
        for effect in bench.done[self.seen :]:
            if isinstance(effect, FetchModel):
                assert effect.offer.model_id not in self.refused
        self.seen = len(bench.done)
        self.refused |= {one.model_id for one in figures.refused}
        bench.pass_time(0.0)
        deadline_s = bench.lifecycle.deadline_s(bench.now_s)
        assert deadline_s is None or deadline_s > bench.now_s


def by_id(model_id: str) -> Offer:
    return next(one for one in OFFERS if one.model_id == model_id)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_one_model_is_active_or_none_and_what_was_refused_stays_so(
    happened: list[tuple[str, object]],
) -> None:
    machine = Machine()
    for what, how in happened:
        machine.step(what, how)
    stopped = [one.run_id for one in machine.bench.done if isinstance(one, StopModel)]
    assert len(stopped) == len(set(stopped))
