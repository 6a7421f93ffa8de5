"""Reading scenarios, and drawing what they leave open."""

from pathlib import Path
from typing import Any

import pytest

from nearcast.errors import InputError
from simulation.scenario import SHIPPED_SCENARIOS, Scenario, read_scenario, scenario_of
from simulation.workload import titles_of, viewers_of

HOME = {"rate_kbps": 20_000, "delay_ms": 5}


def table(**changes: Any) -> dict[str, Any]:
    return {
        "catalog": {"series_count": 2, "episode_count": 3, "film_count": 1, "episode_s": 30},
        "edges": [{"name": "one", "backhaul": HOME}],
        "audience": {"viewer_count": 5, "last_miles": [HOME]},
        **changes,
    }


def scenario(**changes: Any) -> Scenario:
    return scenario_of(table(**changes), "test.toml")


@pytest.mark.parametrize("name", SHIPPED_SCENARIOS)
def test_shipped_scenarios_are_whole(name: str) -> None:
    read = read_scenario(name)
    assert viewers_of(read, titles_of(read))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edgse": []}, "unknown field `edgse`"),
        ({"edges": []}, "edges need at least one"),
        ({"edges": [{"name": "a", "backhaul": {}}]}, "either trace or rate_kbps"),
        ({"edges": [{"name": "a"}]}, "missing required field `backhaul` - at `edges[0]`"),
        ({"seed": "x"}, "`seed`"),
        ({"audience": None}, "nobody to watch"),
        ({"catalog": {}}, "nothing to watch"),
        ({"catalog": {"film_count": 1, "rungs_kbps": [3, 2]}}, "rungs_kbps must rise"),
        ({"viewers": [{"id": "v", "titles": [], "last_mile": HOME}]}, "titles is empty"),
        (
            {"viewers": [{"id": "v", "titles": ["x"], "edge": "two", "last_mile": HOME}]},
            "no edge is called 'two'",
        ),
        ({"titles": [{"id": "t", "duration_s": 9, "series": "s"}]}, "go together"),
    ],
)
def test_bad_scenario_is_named_with_its_key(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        scenario(**changes)
    assert "test.toml" in str(caught.value)
    assert reason in str(caught.value)


def test_file_errors_name_the_file(tmp_path: Path) -> None:
    broken = tmp_path / "s.toml"
    broken.write_text("seed = = 1")
    with pytest.raises(InputError, match=r"s\.toml is not valid TOML"):
        read_scenario(broken)
    with pytest.raises(InputError, match="cannot read"):
        read_scenario(tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"neither a file nor a shipped scenario \(evening"):
        read_scenario("morning")


def test_titles_have_the_rates_asked_for_and_vary_by_segment() -> None:
    read = scenario()
    titles = titles_of(read)
    assert len(titles) == 7
    for title in titles:
        *video, audio = title.renditions
        for entry, rung_kbps in zip(video, read.catalog.rungs_kbps, strict=True):
            assert entry.rendition.average_kbps == pytest.approx(rung_kbps, rel=0.05)
            assert entry.rendition.peak_kbps > entry.rendition.average_kbps
            assert sum(s.duration_s for s in entry.segments) == pytest.approx(title.duration_s)
            assert len({s.size_bytes for s in entry.segments}) > len(entry.segments) / 2
        assert audio.rendition.kind == "audio"


def test_one_more_title_or_viewer_leaves_the_others_as_they_are() -> None:
    more = {"viewer_count": 6, "last_miles": [HOME]}
    films = {**table()["catalog"], "film_count": 2}
    one, two = scenario(), scenario(catalog=films, audience=more)
    titles = {title.id: title for title in titles_of(two)}
    assert all(titles[title.id] == title for title in titles_of(one))
    assert [v.start_s for v in viewers_of(two, titles_of(two))][:5] == [
        v.start_s for v in viewers_of(one, titles_of(one))
    ]


def test_other_seed_draws_others() -> None:
    one, two = scenario(), scenario(seed=2)
    assert titles_of(one) != titles_of(two)


def test_given_sizes_are_taken_and_counted() -> None:
    title = {"id": "t", "duration_s": 10, "segment_s": 4}
    given = {**title, "renditions": [{"id": "v1", "segment_bytes": [5, 6, 7]}]}
    (made, *_) = titles_of(scenario(titles=[given]))
    assert [segment.size_bytes for segment in made.renditions[0].segments] == [5, 6, 7]
    assert [segment.duration_s for segment in made.renditions[0].segments] == [4, 4, 2]
    short = {**title, "renditions": [{"id": "v1", "segment_bytes": [5, 6]}]}
    with pytest.raises(InputError, match="make 3, got 2 sizes"):
        titles_of(scenario(titles=[short]))


def test_viewer_of_an_unknown_title_is_refused() -> None:
    read = scenario(viewers=[{"id": "v", "titles": ["gone"], "last_mile": HOME}])
    with pytest.raises(InputError, match="viewer v: there is no title 'gone'"):
        viewers_of(read, titles_of(read))


def test_series_viewers_watch_episodes_in_order_and_some_give_up() -> None:
    audience = {"viewer_count": 200, "last_miles": [HOME], "abandon_probability": 0.3}
    read = scenario(audience=audience)
    viewers = viewers_of(read, titles_of(read))
    series = [viewer for viewer in viewers if viewer.titles[0].startswith("series")]
    assert 0.7 < len(series) / len(viewers) < 0.9
    assert all(viewer.titles == tuple(sorted(viewer.titles)) for viewer in series)
    gave_up = [viewer for viewer in series if viewer.leaves_after_s is not None]
    assert 0.5 < len(gave_up) / len(series) < 0.8  # 1 - 0.7^3 = 0.66
