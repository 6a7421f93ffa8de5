"""What simulations have found in the edge's core; kept small enough to see at a glance."""

import pytest

from edge.config import EdgeConfig
from edge.events import Requested
from edge.hops import Hops
from edge.progress import Progress
from edge.requests import Ask, Reader
from edge.services import Services


@pytest.mark.parametrize("at_s", [0.0, 0.1, 54.321, 1234.5678, 99_999.7])
def test_checkpoint_is_reached_at_the_time_that_was_named(at_s: float) -> None:
    """Exact wake-ups at the very end of a title once went round for ever: one rounding short."""
    progress = Progress(60.0)
    progress.requested(0.0, 60.0, at_s, buffer_s=0.0)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        when_s = progress.when_s(share)
        assert when_s is not None
        assert progress.share(when_s) >= share - 1e-6


def test_targets_with_the_letters_s_and_k_are_not_refused() -> None:
    """`[\\x7f-\\uffff]` without regard to case once matched s and k: long s and the Kelvin sign."""
    reader = Reader(
        Services(EdgeConfig(upstream="http://origin.invalid")),
        target_length_max=8192,
        hops=Hops("a"),
    )
    request = Requested(
        request_id=1, method="GET", target="/media/desks/1.m4s", headers=(), client="c"
    )
    assert isinstance(reader.read(request), Ask)
