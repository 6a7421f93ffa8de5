"""What became of the questions that models were asked.

A question was about a viewer in a title: does the successor start within a horizon after this
play ends? The truth is known when the play has ended and the horizon has passed. It is told only
then, also when the successor started at once: what came true is known sooner than what did not, so
telling each as soon as it is known would show a new model a world in which everybody goes on.

Half an hour's truth is told of every play. A day and a week are waited for by at most a quarter of
`count_max` questions each: where there are more, one play in a while stays, evenly over the time.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from edge.sessions import Session
from edge.viewers import Viewer
from nearcast.horizons import HORIZONS_S

WAITING_SHARE: Final = 0.25
"""Of the questions there is room for, those that may wait for one of the longer horizons. The
first half of it is given to whoever comes, as on a quiet node; the second is spread."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """The truth about one question at one horizon, and what models had said."""

    play_no: int
    """Questions of one play share their truth: together they are one piece of evidence."""
    horizon_index: int
    is_followed: bool
    answers: dict[int, float]
    """Probability by run."""


class _Question:
    """What each model answered."""

    __slots__ = ("answers", "play_no")

    def __init__(self, play_no: int) -> None:
        self.play_no = play_no
        self.answers: dict[int, tuple[float, ...]] = {}


class _Play:
    """One viewing that was asked about."""

    def __init__(self, session: Session, successor_url: str) -> None:
        self.session_name = session.name
        self.viewer = session.viewer
        self.viewer_no = session.viewer.no
        self.successor_url = successor_url
        self.questions: list[int] = []
        self.ended_s: float | None = None
        self.followed_s: float | None = None
        self.waits_for = 0
        """The horizon whose truth is told next."""


class Outcomes:
    """Questions on their way to an outcome; at most `count_max`, the oldest make room."""

    def __init__(self, count_max: int, *, history_s: float = math.inf) -> None:
        """Viewers who do not come for `history_s` are not known again when they do, so what they
        started cannot be told of longer horizons."""
        self._count_max = count_max
        self._horizons_s = tuple(one for one in HORIZONS_S if one <= history_s)
        self._waiting_max = max(int(WAITING_SHARE * count_max), 1)
        self._waiting = [0] * len(HORIZONS_S)
        self._spaced_until_s = [0.0] * len(HORIZONS_S)
        self._questions: OrderedDict[int, _Question] = OrderedDict()
        self._plays: dict[int, _Play] = {}
        self._open: dict[str, int] = {}  # session -> play
        self._by_viewer: dict[Viewer, list[int]] = {}
        self._due: list[tuple[float, int, int]] = []  # when, horizon, play
        self._next_play_no = 1
        self._scored: list[Scored] = []
        self.lost_count = 0
        """Questions that made room before their outcome was known."""

    def __len__(self) -> int:
        return len(self._questions)

    def asked(self, prediction_id: int, session: Session, successor_url: str) -> None:
        """A model was asked whether this viewer will go on to that successor."""
        play_no = self._open.get(session.name)
        if play_no is None or self._plays[play_no].successor_url != successor_url:
            play_no = self._open[session.name] = self._next_play_no
            self._next_play_no += 1
            self._plays[play_no] = _Play(session, successor_url)
            self._by_viewer.setdefault(session.viewer, []).append(play_no)
        self._plays[play_no].questions.append(prediction_id)
        self._questions[prediction_id] = _Question(play_no)
        while len(self._questions) > self._count_max:
            self.lost_count += self._forget_play(next(iter(self._questions.values())).play_no)

    def answered(self, prediction_id: int, run_id: int, row: Sequence[float]) -> None:
        """What one of the models said; the row's probabilities are of all horizons."""
        known = self._questions.get(prediction_id)
        if known is not None:
            known.answers[run_id] = tuple(row)

    def started(self, session: Session, now_s: float) -> None:
        """A viewer has begun a title."""
        for play_no in self._by_viewer.get(session.viewer, ()):
            play = self._plays[play_no]
            if play.successor_url == session.title_url and play.followed_s is None:
                play.followed_s = now_s

    def ended(self, session: Session) -> None:
        """A play is over; when it ended was seen earlier."""
        play_no = self._open.pop(session.name, None)
        if play_no is None:
            return
        ended_s = max(session.last_seen_s, session.progress.played_out_s())
        self._plays[play_no].ended_s = ended_s
        if not self._horizons_s:
            self._forget_play(play_no)
            return
        heapq.heappush(self._due, (ended_s + self._horizons_s[0], 0, play_no))
        if len(self._due) > 4 * len(self._plays) + 64:
            self._due = [due for due in self._due if due[2] in self._plays]
            heapq.heapify(self._due)

    def forget(self, viewer: Viewer) -> int:
        """Drop all that was asked about this viewer; how many questions that were."""
        return sum(map(self._forget_play, tuple(self._by_viewer.get(viewer, ()))))

    def advance(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            _, index, play_no = heapq.heappop(self._due)
            play = self._plays.get(play_no)
            if play is None:
                continue
            if play.viewer.no != play.viewer_no:
                # Let go in between, and not known again: nobody could tell what they did.
                self.lost_count += self._forget_play(play_no)
            else:
                self._score(play_no, index)
                if not self._waits_on(play_no, index + 1):
                    self._forget_play(play_no)

    def deadline_s(self) -> float | None:
        return self._due[0][0] if self._due else None

    def take(self) -> list[Scored]:
        """What has become known, in the order of the deadlines."""
        scored, self._scored = self._scored, []
        return scored

    def _waits_on(self, play_no: int, index: int) -> bool:
        """Keep a play for the next horizon, if there is one and room to wait for it."""
        if index >= len(self._horizons_s):
            return False
        play = self._plays[play_no]
        assert play.ended_s is not None
        due_s = play.ended_s + self._horizons_s[index]
        count = len(play.questions)
        half = self._waiting_max / 2.0
        if self._waiting[index] + count > half:
            is_full = self._waiting[index] + count > self._waiting_max
            if is_full or due_s < self._spaced_until_s[index]:
                return False
            self._spaced_until_s[index] = due_s + count * self._horizons_s[index] / half
        self._waiting[play.waits_for] -= count if play.waits_for else 0
        self._waiting[index] += count
        play.waits_for = index
        heapq.heappush(self._due, (due_s, index, play_no))
        return True

    def _score(self, play_no: int, index: int) -> None:
        play = self._plays[play_no]
        assert play.ended_s is not None
        is_followed = (
            play.followed_s is not None
            and play.followed_s - play.ended_s <= self._horizons_s[index]
        )
        for prediction_id in play.questions:
            answers = self._questions[prediction_id].answers
            if answers:
                self._scored.append(
                    Scored(
                        play_no=play_no,
                        horizon_index=index,
                        is_followed=is_followed,
                        answers={run_id: row[index] for run_id, row in answers.items()},
                    )
                )

    def _forget_play(self, play_no: int) -> int:
        """How many questions there were about it."""
        play = self._plays.pop(play_no)
        if play.waits_for:
            self._waiting[play.waits_for] -= len(play.questions)
        of_viewer = self._by_viewer[play.viewer]
        of_viewer.remove(play_no)
        if not of_viewer:
            del self._by_viewer[play.viewer]
        for prediction_id in play.questions:
            del self._questions[prediction_id]
        if self._open.get(play.session_name) == play_no:
            del self._open[play.session_name]
        return len(play.questions)
