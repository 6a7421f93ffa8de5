"""Settings in layers, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from nearcast.config import Loaded, Section, load
from nearcast.errors import ConfigError


class Store(Section, frozen=True, kw_only=True):
    folder: str = "store"
    capacity_bytes: Annotated[int, msgspec.Meta(gt=0)] = 1000
    small_ratio: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1


class Settings(Section, frozen=True, kw_only=True):
    store: Store = Store()
    listen: str = "127.0.0.1:8080"
    names: tuple[str, ...] = ()
    rates_kbps: tuple[float, ...] = ()
    is_open: bool = False
    limit_s: float | None = None
    max_bytes: int | None = None
    profile: Literal["plain", "strict"] = "plain"

    def __post_init__(self) -> None:
        if self.listen == "nowhere":
            raise ValueError("listen must be HOST:PORT")


def settings(*assignments: str, **environ: str) -> Loaded[Settings]:
    return load(Settings, role="edge", environ=environ, assignments=assignments)


def test_a_profile_lies_between_the_defaults_and_the_file(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('[store]\nfolder = "file"\n')
    made = load(
        Settings,
        role="edge",
        file=file,
        profile="big",
        profiles={"big": {"store.folder": "big", "store.capacity_bytes": 5, "names": ("a",)}},
    )
    assert made.value.store == Store(folder="file", capacity_bytes=5)
    assert made.value.names == ("a",)
    assert made.sources["store.capacity_bytes"] == "profile big"
    assert made.sources["store.folder"] == str(file)


def test_an_unknown_profile_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ConfigError, match=r"no profile 'smal'; known: big, small"):
        load(Settings, role="edge", profile="smal", profiles={"small": {}, "big": {}})


def toml(folder: Path, text: str) -> Loaded[Settings]:
    file = folder / "edge.toml"
    file.write_text(text)
    return load(Settings, role="edge", file=file)


def test_defaults_stand_where_nothing_is_said() -> None:
    made = settings()
    assert made.value == Settings()
    assert set(made.sources.values()) == {"default"}


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('listen = "a"\n[store]\nfolder = "a"\ncapacity_bytes = "1kB"\n')
    made = load(
        Settings,
        role="edge",
        file=file,
        environ={"NEARCAST_EDGE__STORE__FOLDER": "b", "NEARCAST_EDGE__LISTEN": "b"},
        assignments=["listen=c"],
    )
    assert (made.value.store.capacity_bytes, made.value.store.folder, made.value.listen) == (
        1000,
        "b",
        "c",
    )
    assert made.sources["store.capacity_bytes"] == str(file)
    assert made.sources["store.folder"] == "NEARCAST_EDGE__STORE__FOLDER"
    assert made.sources["listen"] == "--set"
    assert made.sources["store.small_ratio"] == "default"


def test_environment_of_other_roles_is_not_read() -> None:
    assert settings(NEARCAST_ORIGIN__LISTEN="x", NEARCAST_EDGE_LISTEN="y").value == Settings()


def test_text_becomes_the_type_of_the_setting() -> None:
    made = settings(
        "is_open=true",
        "limit_s=2.5",
        "names=a, b,,c",
        "rates_kbps=1,2.5",
        "store.capacity_bytes=2MiB",
        "max_bytes=10GB",
        "profile=strict",
    ).value
    assert made.is_open is True
    assert made.limit_s == 2.5
    assert made.names == ("a", "b", "c")
    assert made.rates_kbps == (1.0, 2.5)
    assert made.store.capacity_bytes == 2 * 1024 * 1024
    assert made.max_bytes == 10_000_000_000
    assert made.profile == "strict"


def test_an_optional_setting_can_be_unset() -> None:
    assert settings("limit_s=3", "limit_s=null").value.limit_s is None
    assert settings("max_bytes=3", "max_bytes=null").value.max_bytes is None


def test_values_may_hold_equal_signs() -> None:
    assert settings("listen=a=b").value.listen == "a=b"


def test_lines_show_value_and_source() -> None:
    lines = list(settings("store.folder=x").lines())
    assert 'store.folder = "x"    # --set' in lines
    assert 'listen = "127.0.0.1:8080"    # default' in lines


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("nonsense=1", r"unknown setting nonsense \(--set\); the top level knows: store, listen"),
        ("store.nonsense=1", r"unknown setting store\.nonsense \(--set\); \[store\] knows: folder"),
        ("store=1", "is a section"),
        ("listen.port=1", "is a value, not a section"),
        ("listen", "write it as key=value"),
        ("=1", "unknown setting"),
        ("store..folder=1", "unknown setting"),
        ("store.capacity_bytes=lots", "is not a size"),
        ("store.capacity_bytes=0", r"store\.capacity_bytes \(--set\): .*>= 1"),
        ("store.small_ratio=1.4", r"store\.small_ratio \(--set\): .*< 1"),
        ("store.small_ratio=nan", r"store\.small_ratio"),
        ("limit_s=soon", "limit_s"),
        ("limit_s=inf", "limit_s"),
        ("is_open=perhaps", "is_open"),
        ("profile=other", "profile"),
        ("listen=nowhere", "HOST:PORT"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(assignment: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        settings(assignment)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("listen = ", "not valid TOML"),
        ("[sore]\nfolder = 'x'", r"unknown setting sore \("),
        ("[store]\nfolders = 'x'", r"unknown setting store\.folders .*edge\.toml"),
        ("listen = 5", "listen .*edge.toml"),
        ("store = 5", "is a section"),
        ("[listen]\nport = 1", "listen .*edge.toml"),
        ("limit_s = nan", "limit_s"),
        ("is_open = 1", "is_open"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        toml(tmp_path, text)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(Settings, role="edge", file=tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(Settings, role="edge", file=tmp_path / "binary.toml")


class Rule(Section, frozen=True, kw_only=True):
    allow: tuple[str, ...] = ()


class Entry(Section, frozen=True, kw_only=True):
    name: str
    share: Annotated[float, msgspec.Meta(le=1)] = 0.5
    query: Literal["all"] | Rule = "all"


class Pair(Section, frozen=True, kw_only=True):
    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError("low must be below high")


class Wide(Section, frozen=True, kw_only=True):
    pair: Pair = Pair()
    entries: tuple[Entry, ...] = ()


def wide(tmp_path: Path, text: str, *assignments: str) -> Loaded[Wide]:
    file = tmp_path / "wide.toml"
    file.write_text(text)
    return load(Wide, role="edge", file=file, assignments=assignments)


def test_settings_are_judged_together_in_whichever_order_they_come(tmp_path: Path) -> None:
    made = wide(tmp_path, "[pair]\nlow = 5\nhigh = 9\n")
    assert made.value.pair == Pair(low=5, high=9)
    assert wide(tmp_path, "[pair]\nlow = 5\n", "pair.high=6").value.pair == Pair(low=5, high=6)
    with pytest.raises(ConfigError, match=r"pair\.low \(.*wide\.toml\): low must be below high"):
        wide(tmp_path, "[pair]\nlow = 5\n")


def test_lists_of_sections_come_from_tables_or_json(tmp_path: Path) -> None:
    made = wide(
        tmp_path,
        '[[entries]]\nname = "a"\nquery = {allow = ["x"]}\n[[entries]]\nname = "b"\nshare = 1\n',
    )
    expected = (Entry(name="a", query=Rule(allow=("x",))), Entry(name="b", share=1.0))
    assert made.value.entries == expected
    lines = list(made.lines())
    assert f'entries[0].query.allow = ["x"]    # {tmp_path / "wide.toml"}' in lines
    assert f"entries[1].share = 1.0    # {tmp_path / 'wide.toml'}" in lines
    text = 'entries=[{"name": "a", "query": {"allow": ["x"]}}, {"name": "b", "share": 1}]'
    assert wide(tmp_path, "", text).value.entries == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[entries]]\nname = "a"\nshare = 2\n', r"^entries\[0\]\.share \(.*<= 1"),
        ('[[entries]]\nname = "a"\n[[entries]]\n', r"^entries\[1\] \(.*`name`"),
        ('[[entries]]\nname = "a"\nnam = 1\n', r"^entries\[0\] \(.*unknown field `nam`"),
        ('[[entries]]\nname = "a"\nquery = {alow = []}\n', r"^entries\[0\]\.query \(.*`alow`"),
        ('[[entries]]\nname = "a"\nquery = "some"\n', r"^entries\[0\]\.query \("),
        ("entries = 1", r"^entries \("),
    ],
)
def test_what_is_wrong_inside_a_list_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        wide(tmp_path, text)
