"""The plans for what a viewer goes on to: one for each session, made at its checkpoints."""

from __future__ import annotations

from edge.config import PrefetchConfig
from edge.prefetch.book import Book, Foreseen
from edge.prefetch.judge import Verdict
from edge.prefetch.planner import Planner
from edge.prefetch.staging import Intent, Staging
from edge.prefetch.starts import Starts
from edge.sessions import Session
from edge.viewers import Rung


class NextEpisode:
    """Turns verdicts into plans, and ends them."""

    def __init__(
        self,
        config: PrefetchConfig,
        *,
        planner: Planner,
        staging: Staging,
        starts: Starts,
        book: Book,
    ) -> None:
        self._config = config
        self._planner = planner
        self._staging = staging
        self._starts = starts
        self._book = book
        self._names: dict[
            str, tuple[str, ...]
        ] = {}  # session -> its plans, the whole title's first

    def decided(self, verdict: Verdict, now_s: float) -> None:
        """It is known anew how likely a viewer goes on."""
        session = verdict.session
        whole = self._intent(verdict, _name(session), None)
        if verdict.share >= self._config.rest_at:
            whole.is_rest_wanted = True
        whole.chance = verdict.chance
        # The first seconds of a second rung are few bytes that decide about the whole start-up.
        likely = self._starts.likely(session)
        beginnings = {}
        for rung, share in likely:
            name = f"{_name(session)}/{rung.representation_id}"
            beginning = beginnings[name] = self._intent(verdict, name, rung)
            beginning.chance = verdict.chance * share
        for name in self._names_of(session)[1:]:
            if name not in beginnings:
                self._planner.end(name)
        self._names[session.name] = (whole.name, *beginnings)
        self._book.foresee(
            verdict.successor_url,
            Foreseen(
                at_s=now_s,
                source=verdict.source,
                share=verdict.share,
                probabilities=verdict.probabilities,
                chance=verdict.chance,
            ),
        )
        for intent in (whole, *beginnings.values()):
            self._planner.put(intent)

    def _intent(self, verdict: Verdict, name: str, begins_on: Rung | None) -> Intent:
        intent = self._planner.plan(name)
        if not isinstance(intent, Intent) or intent.about_url != verdict.successor_url:
            self._planner.end(name)
            intent = Intent(
                name,
                verdict.session,
                verdict.successor_url,
                verdict.source,
                self._staging,
                begins_on=begins_on,
            )
        intent.source, intent.probabilities = verdict.source, verdict.probabilities
        return intent

    def _names_of(self, session: Session) -> tuple[str, ...]:
        return self._names.get(session.name, ())

    def begun(self, session: Session) -> None:
        """A viewer has asked for the first picture of a title."""
        self._starts.learn(session)

    def started(self, session: Session) -> None:
        """From now on this viewer asks for the title itself."""
        for plan in self._planner.plans():
            if (
                isinstance(plan, Intent)
                and plan.session.viewer is session.viewer
                and plan.about_url == session.title_url
            ):
                self._planner.fulfil(plan.name)

    def ended(self, session: Session) -> None:
        """What was not started for this viewer is not needed."""
        for name in self._names.pop(session.name, ()):
            self._planner.end(name)


def _name(session: Session) -> str:
    return f"next/{session.name}"
