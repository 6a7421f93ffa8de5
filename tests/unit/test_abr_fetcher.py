"""A segment and its init travel together; whichever comes first, playback waits for both."""

from __future__ import annotations

import pytest

from abr.config import RetryConfig
from abr.events import ResponseFailed
from abr.fetcher import Fetcher
from abr.holes import Holes
from abr.hosts import HostHealth, Hosts
from abr.title import Track
from abr.transfer import Transfer
from nearcast.media import Segment
from tests.abr_world import presentation


@pytest.fixture
def hosts() -> Hosts:
    return Hosts("http://a.test/", RetryConfig(), (), HostHealth(RetryConfig()))


@pytest.fixture
def fetcher(hosts: Hosts) -> Fetcher:
    track = Track("video", presentation((1000.0, 2000.0), count=4).video)
    return Fetcher(track, RetryConfig(), 25.0, hosts=hosts, holes=Holes())


def _due(fetcher: Fetcher, rung: int) -> Segment:
    segment = fetcher.due_segment(rung)
    assert segment is not None
    return segment


def _init(fetcher: Fetcher, rung: int) -> Segment:
    init = fetcher.representation(rung).init
    assert init is not None
    return init


def test_segment_that_overtakes_its_init_waits_for_it(fetcher: Fetcher) -> None:
    fetcher.has_segment(_due(fetcher, 1), 1, 1000)
    assert fetcher.buffer.end_s == 0.0
    assert fetcher.rung_under_way == 1
    fetcher.has_init(_init(fetcher, 1))
    assert fetcher.buffer.end_s == pytest.approx(2.0)
    assert fetcher.rung_under_way is None
    assert [held.size_bytes for held in fetcher.buffer.held] == [1000]


def test_init_of_another_rung_does_not_release_it(fetcher: Fetcher) -> None:
    fetcher.has_segment(_due(fetcher, 1), 1, 1000)
    fetcher.has_init(_init(fetcher, 0))
    assert fetcher.buffer.end_s == 0.0
    assert fetcher.missing_init(1) is not None


def test_failed_init_lets_the_waiting_segment_go(fetcher: Fetcher, hosts: Hosts) -> None:
    fetcher.has_segment(_due(fetcher, 1), 1, 1000)
    init = _init(fetcher, 1)
    transfer = Transfer(1, "init", init.url, 10.0, track="video", rung=1, segment=init)
    failure = ResponseFailed(request_id=1, detail="not found", status=404)
    hosts.failed(init.url, failure, 10.0)
    fetcher.failed(transfer, failure, 10.0)
    assert fetcher.rung_under_way is None
    assert fetcher.nearest_allowed(1, 10.0) == 0
    assert _due(fetcher, 0).start_s == 0.0
