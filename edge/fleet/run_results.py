"""What the end of a planned fill means: for its file, and for whom the next is asked."""

from __future__ import annotations

from edge.fill import FillOutcome
from edge.fleet.fetching import Fetching
from edge.fleet.files import TRIES_MAX
from edge.fleet.runs import MORE_THAN_LEFT, Run
from edge.fleet.sources import Sources
from edge.peers import ABSENT


class RunResults:
    """Of fills that were begun for a file, and not to confirm what a peer gave."""

    def __init__(self, *, sources: Sources, fetching: Fetching) -> None:
        self._sources = sources
        self._fetching = fetching

    def ended(self, run: Run, outcome: FillOutcome, now_s: float) -> None:
        if outcome.result == "stored":
            self._stored(run, outcome)
        elif outcome.result != "not_modified":
            self._failed(run, outcome, now_s)

    def _stored(self, run: Run, outcome: FillOutcome) -> None:
        self._sources.gave(run.edge)
        by_source = run.file.by_source
        by_source[run.edge] = by_source.get(run.edge, 0) + outcome.received_bytes
        if run.edge:
            self._fetching.confirm_later(run.file, run.piece)

    def _failed(self, run: Run, outcome: FillOutcome, now_s: float) -> None:
        file = run.file
        file.again()
        if run.edge:
            if outcome.result == "failed":
                is_absent = outcome.detail == ABSENT
                self._sources.failed(run.edge, run.piece.url, now_s, is_absent=is_absent)
        elif outcome.detail == "disk":
            self._fetching.rest(now_s)
        elif outcome.detail == MORE_THAN_LEFT:
            file.give_up("beyond the plan's bytes", now_s, for_good=True)
        elif outcome.was_joined:
            pass  # a client's fill by then
        elif outcome.result == "not_stored" or outcome.was_barred:
            file.give_up(f"not kept: {outcome.detail}", now_s, for_good=True)
        elif outcome.result == "failed":
            file.tries += 1
            if file.tries >= TRIES_MAX:
                file.give_up(outcome.detail, now_s)
