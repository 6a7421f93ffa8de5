"""Title models: what they learn, what they say, and that graph and arithmetic agree."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError, SchemaMismatch
from predictor import artifact, graph_rules
from predictor.kinds import RECOMMEND
from predictor.logs.plays import read_plays
from predictor.recommend.blend import Blend, BlendSettings, learn_blend
from predictor.recommend.graph import to_onnx
from predictor.recommend.history import Ints
from predictor.recommend.markov import Markov
from predictor.recommend.packing import (
    SIZE_BYTES_MAX,
    kept_counts,
    line_through,
    tiers_of,
    written_places,
)
from predictor.recommend.popularity import Popularity
from predictor.recommend.rows import ScoredRecommender, TitleNumbers
from predictor.recommend.served import TITLES_FILE, TitleModel, as_input
from predictor.recommend.taste import learn_taste
from predictor.recommend.transitions import count_pairs, discounted, shrunk, strongest
from predictor.runtime import Graph
from predictor.train import recommend
from predictor.train.recommend_data import Listing, of_plays, read_listing
from predictor.train.recommend_measuring import difference, quality, ranks
from predictor.train.recommend_queries import known_of, queries, split_by_time, split_last

TITLES = 40


def chained(seed: int = 1, viewers: int = 60) -> tuple[Ints, ...]:
    """Viewers who mostly step from a title to the one after it; smaller numbers more often."""
    rng = np.random.default_rng(seed)
    histories = []
    for _ in range(viewers):
        start = int(rng.integers(0, TITLES) * rng.random())
        steps = rng.integers(1, 3, size=12)
        path = (start + np.concatenate([[0], np.cumsum(steps)])) % TITLES
        histories.append(np.array(list(dict.fromkeys(path.tolist())), dtype=np.int64))
    return tuple(histories)


def listing_of(histories: tuple[Ints, ...]) -> Listing:
    """One event a second, all viewers in turn."""
    longest = max(len(history) for history in histories)
    events = [
        (viewer, int(history[at]))
        for at in range(longest)
        for viewer, history in enumerate(histories)
        if at < len(history)
    ]
    viewer, title = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    return Listing(
        viewer=viewer,
        title=title,
        at_s=np.arange(len(events), dtype=np.float64),
        viewers=tuple(f"v{at}" for at in range(len(histories))),
        titles=tuple(f"t{at}" for at in range(TITLES)),
        genre=np.arange(TITLES) % 3,
        genres=("a", "b", "c"),
    )


@pytest.fixture(scope="module")
def blend() -> Blend:
    settings = BlendSettings(taste_rank=4, shrinkage=2.0, sharpness=0.7, known_share=0.9)
    return learn_blend(chained(), TITLES, settings, kept_counts=np.full(TITLES, 12))


@pytest.fixture(scope="module")
def trained() -> recommend.Trained:
    return recommend.train(listing_of(chained(viewers=40)), data_sha256="0" * 64, latency_calls=1)


def test_pairs_count_by_their_distance_and_backwards_by_a_share() -> None:
    histories = (np.array([0, 1, 2]), np.array([0, 2]))
    rows = count_pairs(histories, 3, lag_weights=(1.0, 0.5), backward_share=0.1)
    matrix = np.zeros((3, 3))
    for title in range(3):
        rows.add_row(matrix[title], title, 1.0)
    assert matrix == pytest.approx(np.array([[0, 1, 1.5], [0.1, 0, 1], [0.15, 0.1, 0]]))


def test_shrunk_rows_sum_below_one_and_rare_titles_to_less() -> None:
    rows = shrunk(count_pairs((np.array([0, 1]),) * 9 + (np.array([2, 1]),), 4, lag_weights=[1]), 1)
    sums = [rows.weight[rows.starts[at] : rows.starts[at + 1]].sum() for at in range(4)]
    assert sums == pytest.approx([0.9, 0.0, 0.5, 0.0])


def test_what_everyone_watches_is_discounted() -> None:
    rows = count_pairs((np.array([0, 1]), np.array([0, 2])), 3, lag_weights=[1])
    found = discounted(rows, np.array([2.0, 9.0, 1.0]), 0.5)
    assert found.to.tolist() == [1, 2]
    assert found.weight == pytest.approx([3.25**-0.5, 1.25**-0.5])


def test_the_strongest_transitions_are_kept_largest_first() -> None:
    rows = count_pairs(
        (np.array([0, 1]), np.array([0, 2]), np.array([0, 2]), np.array([1, 2])),
        3,
        lag_weights=[1],
    )
    kept = strongest(rows, np.array([1, 0, 0]))
    assert kept.to.tolist() == [2]
    assert kept.weight.tolist() == [2.0]
    assert kept.starts.tolist() == [0, 1, 1, 1]


def test_markov_is_the_formula_of_the_baseline() -> None:
    """Window 5, the last 8 plays, decay 0.7, shrinkage 10: by hand on dense counts."""
    histories = chained(viewers=20)
    counts = np.zeros((TITLES, TITLES))
    for history in histories:
        for at, before in enumerate(history):
            for after, weight in zip(
                history[at + 1 : at + 6], (1, 0.6, 0.4, 0.3, 0.2), strict=False
            ):
                counts[before, after] += weight
    rows = counts / (counts.sum(axis=1, keepdims=True) + 10.0)
    asked = histories[3]
    by_hand = sum(0.7**age * rows[title] for age, title in enumerate(asked[::-1][:8]))
    assert Markov(histories, TITLES).scores(asked) == pytest.approx(by_hand, abs=1e-8)


def test_probabilities_sum_to_the_share_of_known_titles(blend: Blend) -> None:
    for history in ([], [3], [3, 4, 6]):
        chances = blend.probabilities(np.array(history, dtype=np.int64))
        assert chances.sum() == pytest.approx(0.9)
        assert chances.min() > 0.0


@pytest.mark.parametrize("tiers", [((TITLES, 12),), ((TITLES, 5), (17, 7))])
@pytest.mark.parametrize("length", [0, 1, 9, 70])
def test_the_float_graph_is_the_arithmetic(
    blend: Blend, tiers: tuple[tuple[int, int], ...], length: int
) -> None:
    cut = strongest(blend.transitions, kept_counts(tiers, TITLES))
    blend = msgspec.structs.replace(blend, transitions=cut)
    history = np.random.default_rng(length).integers(0, TITLES, size=length)
    answer = Graph(to_onnx(blend, tiers, is_packed=False), source="x").run(as_input([history]))
    assert answer[0] == pytest.approx(blend.probabilities(history), rel=2e-4)


def test_the_int8_graph_keeps_probabilities_and_order(blend: Blend) -> None:
    graph = to_onnx(blend, ((TITLES, 12),), is_packed=True)
    facts = graph_rules.check(graph, "x", kind=RECOMMEND)
    assert facts.is_integer
    histories = chained(seed=9, viewers=20)
    answers = Graph(graph, source="x").run(as_input(histories))
    for history, answer in zip(histories, answers, strict=True):
        exact = blend.probabilities(history)
        likely = exact >= 0.02
        assert answer[likely] == pytest.approx(exact[likely], rel=0.1)  # some weights lie on a line
        assert answer == pytest.approx(exact, abs=4e-3)
        assert exact[int(np.argmax(answer))] == pytest.approx(exact.max(), rel=0.02)


def test_a_batch_answers_as_one_by_one(blend: Blend) -> None:
    graph = Graph(to_onnx(blend, ((TITLES, 12),), is_packed=True), source="x")
    rows = as_input(chained(seed=4, viewers=5))
    alone = np.concatenate([graph.run(row[None, :]) for row in rows])
    assert graph.run(rows) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("titles", [3_400, 8_600, 9_724])
def test_tables_fit_their_bytes(titles: int) -> None:
    for rank in (0, 16):
        tiers = tiers_of(titles, rank)
        size, first = titles * (rank + 6), 0
        for count, kept in tiers:
            weights = len(written_places(first, kept))
            size += (count + 1) * (2 * kept + weights + 2)
            first += kept
        assert 0.7 * SIZE_BYTES_MAX < size <= 1.02 * SIZE_BYTES_MAX
        assert tiers[0][0] == titles


def test_of_a_long_row_some_weights_are_written_and_the_rest_lie_between() -> None:
    places = written_places(0, 20)
    assert places.tolist() == [0, 1, 2, 3, 4, 5, 7, 9, 11, 15, 19]
    assert written_places(9, 4).tolist() == [0, 2, 3]
    assert written_places(2, 1).tolist() == [0]
    line = line_through(places, 20)
    roots = 1.0 - places / 20.0
    between = roots[line.left] + line.share * (roots[line.right] - roots[line.left])
    assert between == pytest.approx(1.0 - np.arange(20) / 20.0)


def test_a_title_nobody_watched_yet_is_near_its_genre() -> None:
    histories = [np.array([0, 1, 2]) if at % 2 else np.array([3, 4, 5]) for at in range(20)]
    genre = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    taste = learn_taste(histories, 8, rank=2, ridge=1.0, genre=genre)
    liking = taste.vectors @ taste.vectors[0]
    assert liking[6] > 2.0 * abs(liking[7])
    blind = learn_taste(histories, 8, rank=2, ridge=1.0)
    assert not blind.vectors[6].any()


def test_without_a_model_the_chain_recommends_and_seen_titles_are_left_out() -> None:
    titles = TitleNumbers([f"t{at}" for at in range(TITLES)])
    by_chain = ScoredRecommender(Markov(chained(), TITLES), titles)
    found = by_chain.top(["t3", "unknown", "t4"], 5)
    assert [one.title for one in found][:1] in (["t5"], ["t6"])
    assert not {"t3", "t4"} & {one.title for one in found}
    assert sum(one.probability for one in by_chain.top(["t3"], TITLES)) == pytest.approx(1.0)
    by_plays = ScoredRecommender(Popularity(chained(), TITLES), titles)
    most = by_plays.top([], 3)
    assert most[0].probability >= most[1].probability >= most[2].probability


def test_queries_are_all_first_plays_after_the_split_and_know_only_what_came_before() -> None:
    listing = listing_of((np.array([0, 1, 2, 3]), np.array([1, 2, 3]), np.array([2, 6])))
    before, after = listing.take(slice(0, 5)), listing.take(slice(5, None))
    known = known_of(before)
    named = [
        (
            [known.titles[at] for at in query.history],
            known.titles[query.answer] if query.answer >= 0 else None,
            query.is_last,
        )
        for query in queries(known, before, after)
    ]
    assert named == [
        (["t0", "t1"], "t2", False),
        (["t0", "t1", "t2"], None, True),  # nobody watched t3 before the split
        (["t1", "t2"], None, True),
        (["t2"], None, True),
    ]


def test_a_new_viewers_first_title_is_no_question() -> None:
    before = listing_of((np.array([0, 1, 2]),))
    after = listing_of((np.array([0, 1]),) * 2).take(slice(0, None))
    after = msgspec.structs.replace(after, viewers=("new1", "new2"))
    asked = queries(known_of(before), before, after)
    assert [(query.history.tolist(), query.answer) for query in asked] == [([0], 1), ([0], 1)]


def test_the_last_of_each_viewer_is_kept_apart() -> None:
    listing = listing_of((np.array([0, 1, 2]), np.array([4]), np.array([1, 3])))
    before, after = split_last(listing)
    assert sorted(after.title.tolist()) == [2, 3]
    assert len(before) + len(after) == len(listing)


def test_ranks_leave_out_seen_titles_and_count_unknown_answers_as_missed() -> None:
    histories = chained()
    listing = listing_of(histories)
    before, after = split_by_time(listing, 0.7)
    known = known_of(before)
    asked = queries(known, before, after)
    plays = known.plays
    scorer = Popularity(known.histories, len(known.titles))
    rank = ranks(scorer, asked)
    for query, found in zip(asked[:30], rank[:30], strict=True):
        if query.answer < 0:
            continue
        open_titles = [at for at in range(len(known.titles)) if at not in query.history]
        assert open_titles[found] == query.answer  # numbered by plays, so that is the order
    assert quality(rank, asked, plays).queries == len(asked)
    none = difference(rank, rank, asked, seed=1)
    assert (none.mean, none.low, none.high) == (0.0, 0.0, 0.0)
    blind = [msgspec.structs.replace(query, answer=-1) for query in asked]
    assert quality(ranks(scorer, blind), blind, plays).recall_20 == 0.0


def test_a_trained_model_beats_the_chain_where_pairs_tell_both_ways(
    trained: recommend.Trained, tmp_path: Path
) -> None:
    report = trained.report
    assert set(report.test) == {"time-all", "time-last", "last"}
    for name, rows in report.test.items():
        assert rows["int8"].ndcg_10 > report.baselines["popularity"][name].ndcg_10
        assert report.top_10_agreement[name] >= 0.97
        above = report.above[name]["int8"]
        for other in ("markov", "popularity"):
            apart = rows["int8"].ndcg_10 - report.baselines[other][name].ndcg_10
            assert above[other].mean == pytest.approx(apart)
            assert above[other].low <= above[other].mean <= above[other].high
        best = report.baselines[report.best_baseline[name]][name].ndcg_10
        assert best == max(row[name].ndcg_10 for row in report.baselines.values())
    recommend.write(tmp_path / "m", trained)
    model = TitleModel.load(tmp_path / "m")
    (first, *_) = model.top(["t7", "t8", "t10"], 3)
    assert first.title in {"t9", "t11", "t12"}
    assert 0.0 < first.probability < 1.0


def test_the_same_events_give_the_same_bytes(trained: recommend.Trained) -> None:
    again = recommend.build(
        listing_of(chained(viewers=40)), BlendSettings(), lambda _stage, _share: None
    )
    assert again.model == trained.model
    assert again.model_float == trained.model_float


def test_a_model_whose_titles_do_not_fit_is_refused(
    trained: recommend.Trained, tmp_path: Path
) -> None:
    short = msgspec.json.encode(["t1", "t2"])
    manifest = msgspec.structs.replace(
        trained.manifest, files={TITLES_FILE: artifact.file_entry(short)}
    )
    artifact.write(tmp_path / "m", trained.model, manifest, {TITLES_FILE: short})
    with pytest.raises(SchemaMismatch, match="2"):
        TitleModel.load(tmp_path / "m")


def test_ratings_and_plays_are_recognised_by_their_columns(tmp_path: Path) -> None:
    ratings = tmp_path / "r.csv"
    ratings.write_text(
        "userId,movieId,rating,timestamp\n7,50,4,20\n7,10,4,10\n8,10,3,5\n7,10,1,30\n"
    )
    listing, digest = read_listing(ratings)
    assert [listing.titles[at] for at in listing.title] == ["10", "10", "50"]
    assert len(digest) == 64
    plays = tmp_path / "p.csv"
    plays.write_text(
        "viewer,start_s,watched_s,runtime_s,title,series,genre\n"
        "a,0,600,1200,E1,S,drama\na,700,600,1200,E2,S,drama\na,9000,5000,6000,F,,crime\n"
        "b,50,20,6000,F,,crime\n"
    )
    listing, _ = read_listing(plays)
    assert [listing.titles[at] for at in listing.title] == ["series:S", "F"]
    assert [listing.genres[at] for at in listing.genre[listing.title]] == ["drama", "crime"]
    other = tmp_path / "o.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"o\.csv"):
        read_listing(other)
    bad = tmp_path / "b.csv"
    bad.write_text("userId,movieId,rating,timestamp\n7,50,4,soon\n")
    with pytest.raises(InputError, match="line 2"):
        read_listing(bad)
    assert len(of_plays(read_plays(plays))) == 2
