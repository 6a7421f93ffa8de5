"""The plans for titles that viewers may take up next: the first seconds of each, for all viewers.

One plan per title that edge.titles foresees, with the chance that any viewer starts it in time;
what it wants is weighed like everything else. The chance is mostly small, so that of most titles
nothing is fetched, and of some the seconds that a start-up waits for.
"""

from __future__ import annotations

from typing import Final

from cache.http.headers import Headers
from edge.prefetch.book import Book, Foreseen
from edge.prefetch.planner import Planner
from edge.prefetch.plans import Source, Want
from edge.prefetch.staging import Staging
from edge.titles.advisor import Advisor, Beginning
from edge.viewers import Rung
from nearcast.media import TrackKind

REFRESH_S: Final = 1.0
"""The heads are looked at no oftener: a viewer of many does not change them much."""


class HeadPlan:
    """That somebody may start this title: a plan of edge.prefetch."""

    source: Source = "titles"
    is_bounded = False
    begins_on: Rung | None = None
    is_rest_wanted = False

    def __init__(self, url: str, beginning: Beginning, staging: Staging) -> None:
        self.name = self.viewer_key = f"titles/{url}"
        self.about_url = url
        self.probabilities: tuple[float, ...] = ()
        self.chance = 0.0
        self.order_no = 0
        self.rungs = beginning.rungs
        self.next_index: dict[TrackKind, int] = {"video": 0, "audio": 0}
        self._headers = beginning.headers
        self._staging = staging

    @property
    def headers(self) -> Headers:
        return self._headers

    def next_want(self, now_s: float) -> Want | None:
        return self._staging.next_want(self, now_s)

    def wants(self, url: str) -> bool:
        return self._staging.wants(self, url)


class TitleHeads:
    """Keeps the plans in line with what is foreseen."""

    def __init__(self, advisor: Advisor, *, planner: Planner, staging: Staging, book: Book) -> None:
        self._advisor = advisor
        self._planner = planner
        self._staging = staging
        self._book = book
        self._urls: tuple[str, ...] = ()
        self._not_before_s = float("-inf")

    def started(self, title_url: str) -> None:
        """Somebody has: what is on its way of it is about to be asked for."""
        self._planner.fulfil(f"titles/{title_url}")

    def refresh(self, now_s: float) -> None:
        """Look at what is foreseen, if that may be something else than before."""
        due_s = self.deadline_s()
        if due_s is None or now_s < due_s:
            return
        self._not_before_s = now_s + REFRESH_S
        heads = self._advisor.heads(now_s)
        urls = tuple(head.title for head in heads)
        for url in self._urls:
            if url not in urls:
                self._planner.end(f"titles/{url}")
        self._urls = urls
        for head in heads:
            plan = self._planner.plan(f"titles/{head.title}")
            if not isinstance(plan, HeadPlan):
                beginning = self._advisor.beginning(head.title)
                plan = HeadPlan(head.title, beginning, self._staging)
            if plan.chance != head.probability:
                plan.probabilities, plan.chance = (head.probability,), head.probability
                self._foresee(plan, now_s)
                self._planner.put(plan)

    def _foresee(self, plan: HeadPlan, now_s: float) -> None:
        """Write it down, unless something surer is known of the title."""
        known = self._book.foreseen(plan.about_url)
        if known is not None and known.source != "titles" and known.chance > plan.chance:
            return
        said = Foreseen(
            at_s=now_s,
            source="titles",
            share=0.0,
            probabilities=plan.probabilities,
            chance=plan.chance,
        )
        self._book.foresee(plan.about_url, said)

    def deadline_s(self) -> float | None:
        """When to look again."""
        if self._advisor.has_news:
            return self._not_before_s
        until_s = self._advisor.heads_until_s()
        return max(until_s, self._not_before_s) if until_s is not None else None
