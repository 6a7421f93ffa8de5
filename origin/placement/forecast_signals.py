"""What speaks for a title at an edge: signals in viewings a day, one for each reason.

- popularity: everyone's share, at several drifts, times what the edge views and what it likes (its
  viewings of a genre against what would be usual; a title of no genre is liked as any other);
- own: what the edge viewed of late, fading over hours, days or a fortnight;
- series: the same of whole series, spread over episodes by who waits for which
  (`forecast_series.py`);
- pending: viewers who got half through the episode before, fading likewise;
- any: the edge's viewings spread evenly over all titles.

Every signal is linear in counts, so their weighted sum stays a rate (`forecast_weights.py`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from origin.placement.demand import Floats, HourDemand, Titles
from origin.placement.forecast_fading import Fading, Singles
from origin.placement.forecast_popularity import HOURS_PER_DAY, Popularity
from origin.placement.forecast_series import Series
from origin.placement.forecast_volume import volumes

DRIFTS: Final = (0.01, 0.03, 0.1, 0.3)
"""Variances of a log share's daily step; the likelihood chooses among them by the weights."""
OWN_DAYS: Final = (0.5, 2.0, 10.0)
PENDING_DAYS: Final = (0.1, 0.5, 2.0)
LONG_DAYS: Final = 10.0
"""Over which an edge's volume, tastes and rendition shares are taken."""
TASTE_SESSIONS: Final = 10.0
"""An edge's liking of a genre counts fully once far more viewings than these of it are usual there:
a genre that is new, or that a word of the operator's own made small, is liked as any other. 5 to 20
do alike on the public log, 1 costs .0004 of hits."""
RENDITION_SESSIONS: Final = 100.0
"""A title's renditions at an edge lean this strongly to the edge's own mix: they are of devices and
links, hardly of titles. 20 to 1,000 do alike on the public log, 6 costs .005 of hits."""
PREMIERES: Final = 2.0
"""How many releases the guess at a first day weighs, before there were any."""
CLASSES: Final = 3
"""Of releases: films, first episodes, later episodes."""


class Signals:
    """All signals of all edges and titles, hour by hour."""

    def __init__(self, titles: Titles, known_since: Floats, parts: frozenset[str]) -> None:
        self._titles = titles
        self._known_since = known_since
        self._parts = parts
        self._genres = int(titles.genre.max(initial=-1)) + 1
        self._has_genre = titles.genre >= 0
        self._class = np.where(titles.is_film, 0, np.where(titles.episode == 0, 1, 2))
        shape = self._shape = (len(known_since), len(titles))
        self._popularity = [Popularity(titles.release_hour, drift) for drift in DRIFTS]
        self._own = [Fading(shape, days) for days in OWN_DAYS]
        self._pending = [Fading(shape, days) for days in PENDING_DAYS]
        self._series = Series(titles, len(known_since))
        self._renditions = Fading((*shape, titles.size_bytes.shape[1]), LONG_DAYS)
        self._first_sessions = np.zeros(len(titles))
        self._first_total = np.zeros(len(titles))
        self._premieres = np.ones(CLASSES) * PREMIERES
        self._premiere_shares = np.ones(CLASSES) * PREMIERES / max(1, len(titles))

    def take(self, demand: HourDemand, hour: int) -> Singles:
        """One hour; gives its viewings, (edge, title)."""
        at = (demand.edge, demand.title)
        sessions: Singles = np.zeros(self._shape, dtype=np.float32)
        np.add.at(sessions, at, demand.sessions)
        waiting_at = (demand.next_edge, demand.next_title)
        came: Singles = np.zeros(self._shape, dtype=np.float32)
        np.add.at(came, waiting_at, demand.next_sessions)
        self._release(hour)
        everywhere = sessions.sum(axis=0, dtype=np.float64)
        for popularity in self._popularity:
            popularity.take(everywhere, hour)
        self._series.take(sessions, came, hour)
        for own in self._own:
            own.take(at, demand.sessions)
        for each in self._pending:
            each.take(waiting_at, demand.next_sessions)
        self._renditions.take((*at, demand.rendition), demand.sessions)
        self._count_premieres(everywhere, hour)
        return sessions

    def at(self, hour: int) -> Singles:
        """(edge, title, signal) as of the start of this hour."""
        seen = self._renditions.total().sum(axis=(1, 2))
        volume = volumes(seen, hour - self._known_since, LONG_DAYS)
        is_there = (self._titles.release_hour <= hour).astype(np.float32)
        liked = (volume[:, None] * self._taste())[:, self._titles.genre] * is_there
        found: list[Singles] = []
        if "popularity" in self._parts:
            found += [(each.shares() * liked).astype(np.float32) for each in self._popularity]
        if "series" in self._parts:
            found += self._series.signals(liked.astype(np.float32), hour)
        if "own" in self._parts:
            found += [each.per_day() for each in self._own]
        if "pending" in self._parts:
            found += [each.total() for each in self._pending]
        if "any" in self._parts or not found:
            found.append(volume[:, None] * is_there / max(1.0, float(is_there.sum())))
        signals: Singles = np.stack(found, axis=-1).astype(np.float32)
        return signals

    def rendition_shares(self) -> Singles:
        """(edge, title, rendition): of a title's viewings; renditions there are not have none."""
        seen = self._renditions.total()
        exists = self._titles.size_bytes > 0
        everywhere = seen.sum(axis=(0, 1)) + 1.0
        usual = seen.sum(axis=1) + everywhere / everywhere.mean()
        usual /= usual.sum(axis=1, keepdims=True)
        shares = (seen + RENDITION_SESSIONS * usual[:, None, :]) * exists
        whole = shares.sum(axis=2, keepdims=True)
        found: Singles = (shares / np.maximum(whole, 1e-9)).astype(np.float32)
        return found

    def _taste(self) -> Floats:  # (edge, genre), around 1; the last column: of no genre, all 1
        taste = np.ones((self._shape[0], self._genres + 1))
        if "taste" not in self._parts or not self._genres:
            return taste
        by_genre = np.zeros((self._shape[0], self._genres))
        seen = self._renditions.total().sum(axis=2)[:, self._has_genre]
        np.add.at(by_genre.T, self._titles.genre[self._has_genre], seen.T)
        everywhere = by_genre.sum(axis=0)
        usual = everywhere / max(float(everywhere.sum()), 1e-9)
        expected = by_genre.sum(axis=1, keepdims=True) * usual
        taste[:, :-1] = (by_genre + TASTE_SESSIONS) / (expected + TASTE_SESSIONS)
        return taste

    def _release(self, hour: int) -> None:
        """Titles that appear within this hour begin at what releases of their sort did."""
        age = hour - self._titles.release_hour
        for kind in range(CLASSES):
            new = (age >= 0) & (age < 1) & (self._class == kind)
            if new.any() and "releases" in self._parts:
                share = self._premiere_shares[kind] / self._premieres[kind]
                for popularity in self._popularity:
                    popularity.expect(new, float(share))

    def _count_premieres(self, everywhere: Floats, hour: int) -> None:
        age = hour - self._titles.release_hour
        is_first = (age >= 0) & (age < HOURS_PER_DAY)
        self._first_sessions[is_first] += everywhere[is_first]
        self._first_total[is_first] += everywhere.sum()
        done = (age >= HOURS_PER_DAY - 1) & is_first & (self._first_total > 0)
        for title in np.flatnonzero(done):
            kind = self._class[title]
            self._premieres[kind] += 1.0
            self._premiere_shares[kind] += self._first_sessions[title] / self._first_total[title]
