"""Settings of shaped links."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.errors import InputError
from simulation.link_events import BytesOffered, FlowOpened
from simulation.link_shape import UP_KBPS_DEFAULT, LinkShape, ProxySpec, read_links


def test_up_is_a_rate_of_its_own_unless_given() -> None:
    assert LinkShape(rate_kbps=5).upstream_trace().rate_kbps_at(0) == UP_KBPS_DEFAULT
    assert LinkShape(rate_kbps=5, up_kbps=7).upstream_trace().rate_kbps_at(0) == 7
    assert LinkShape(rate_kbps=5, up_trace="fibre").upstream_trace().period_s == 300


def test_offset_begins_the_trace_in_its_middle(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("t_s,throughput_kbps\n0,8\n10,8000\n20,0\n")
    shape = LinkShape(trace="t.csv", offset_s=10)
    _, down = shape.build(start_s=100.0, folder=tmp_path)
    down.handle(FlowOpened(1), 100.0)
    down.handle(BytesOffered(1, 1000), 100.0)
    assert down.deadline_s() == pytest.approx(100.001)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rate_kbps": 1, "trace": "fibre"},
        {"rate_kbps": 1, "up_trace": "fibre", "up_kbps": 1},
        {"rate_kbps": 1, "trace_id": "x"},
        {"rate_kbps": 1, "delay_ms": -1},
        {"rate_kbps": 1, "offset_s": -1},
        {"rate_kbps": 1, "speed": 3},
    ],
)
def test_contradictions_and_unknown_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, LinkShape)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "names no link"),
        ("[", "truncated"),
        ('[{"rate_kbps": 1}]', "missing required field `to`"),
        (
            '[{"to": "a:1", "rate_kbps": 1}, {"to": "a:1", "rate_kbps": 1}]',
            "two links are called 'link'",
        ),
    ],
)
def test_bad_links_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "links.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_links(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_links_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "links.json"
    path.write_text('[{"name": "a", "to": "h:1", "trace": "wifi", "delay_ms": 5}]')
    assert read_links(path) == (ProxySpec(name="a", to="h:1", trace="wifi", delay_ms=5),)
    with pytest.raises(InputError, match="cannot read"):
        read_links(tmp_path / "gone.json")
