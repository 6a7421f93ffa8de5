"""Builds the parts of prefetching that belong together, from the settings."""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.fills import Fills
from edge.ledger import Ledger
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.prefetch.accounts import Accounts
from edge.prefetch.backhaul import Backhaul
from edge.prefetch.book import Book
from edge.prefetch.budget import Budget
from edge.prefetch.displaced import Displaced
from edge.prefetch.expectations import Expectations
from edge.prefetch.heads import TitleHeads
from edge.prefetch.hours import Hours
from edge.prefetch.in_session import InSession
from edge.prefetch.market import Market
from edge.prefetch.next_episode import NextEpisode
from edge.prefetch.planner import Planner
from edge.prefetch.prices import Prices
from edge.prefetch.shelf import Shelf
from edge.prefetch.staging import Staging
from edge.prefetch.starts import Starts
from edge.prefetch.trust import Trust
from edge.prefetch.value import threshold
from edge.residents import Residents
from edge.texts import Texts
from edge.titles.advisor import Advisor
from nearcast.local_time import LocalTime
from nearcast.units import bytes_per_s_from_kbps


class Office:
    """The planner and everybody it works with."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        local_time: LocalTime,
        media_map: MediaMap,
        advisor: Advisor,
        texts: Texts,
        residents: Residents,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
    ) -> None:
        settings = config.prefetch
        self.hours = Hours(
            settings.windows,
            cost_now=settings.cost_now,
            epoch_s=epoch_s,
            local_time=local_time,
        )
        self.budget = Budget(
            settings.rate_kbps,
            settings.burst_s,
            hours=self.hours,
            bytes_per_day=settings.bytes_per_day,
        )
        self.trust = Trust(
            bytes_per_s_from_kbps(settings.rate_kbps), residents.index.prefetch_bytes_max
        )
        self.displaced = Displaced(residents.prefetch_lifetime_s)
        self.expectations = Expectations(residents, media_map)
        self.backhaul = Backhaul()
        self.book = Book(settings.explained_max)
        self.market = Market(
            Prices(
                settings,
                hours=self.hours,
                trust=self.trust,
                displaced=self.displaced,
                backhaul=self.backhaul,
            )
        )
        self.accounts = Accounts(
            market=self.market,
            budget=self.budget,
            hours=self.hours,
            trust=self.trust,
            displaced=self.displaced,
            backhaul=self.backhaul,
            book=self.book,
        )
        self.shelf = Shelf(
            settings,
            epoch_s=epoch_s,
            media_map=media_map,
            texts=texts,
            residents=residents,
            open_fills=open_fills,
        )
        self.planner = Planner(
            settings,
            shelf=self.shelf,
            market=self.market,
            budget=self.budget,
            accounts=self.accounts,
            expectations=self.expectations,
            ledger=ledger,
            open_fills=open_fills,
            fills=fills,
        )
        self.in_session = InSession(
            settings,
            media_map=media_map,
            planner=self.planner,
            backhaul=self.backhaul,
            is_settled=self.shelf.is_settled,
        )
        staging = Staging(
            settings.head_s,
            settings.start_s,
            media_map=media_map,
            is_settled=self.shelf.is_settled,
            is_coming=self.shelf.is_coming,
        )
        self.heads = TitleHeads(advisor, planner=self.planner, staging=staging, book=self.book)
        self.next_episode = NextEpisode(
            settings,
            planner=self.planner,
            staging=staging,
            starts=Starts(threshold(settings, "start")),
            book=self.book,
        )
