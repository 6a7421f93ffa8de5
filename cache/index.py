"""What is resident, where, and what has to go: the only place that counts the store's bytes.

Two tiers. The *disk* tier is the store: every resident object is there. The *memory* tier holds
copies of the objects used last, by an LRU of its own (cache.memory), which counts their bytes.

A resident object is in one of three segments of the disk tier:

    main         ordered by the eviction policy; its victims make room for everything else
    prefetched   fetched before anyone asked. Kept until a set time, outside the eviction queue
                 (S3-FIFO and its kin take an object nobody has asked for yet for a one-hit
                 wonder), and bounded by a share of the capacity. The first use moves it to main.
                 A policy that is told what to expect (`expects`) orders these as well: they go
                 when they are worth least, and at the set time at the latest
    pinned       stays until unpinned or removed. For what is to be placed at an edge whatever its
                 viewers ask for; no edge pins of its own accord

Room is made from what the policy orders first, then from the prefetched objects that expire
soonest, never from the pinned. The index does no I/O: what it returns says which objects to drop,
load and unload. The sum of all sizes never exceeds the capacity, at no moment between two calls.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from cache.admission import build_admission
from cache.config import CacheConfig
from cache.eviction import Belonging, Expecting, build_eviction
from cache.expiries import Expiries
from cache.memory import MemoryTier
from nearcast.errors import LocalProtocolError

Segment = Literal["main", "prefetched", "pinned"]
Refusal = Literal["too large", "not admitted", "pinned full", "prefetch full"]


ENTRY_BYTES: Final = 2_000
"""Of RAM that an object's entries in all tables take, its address and header fields apart;
measured."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an object that was offered. `refusal` None: it is resident now.

    `evicted` have to be dropped from disk and RAM, also when the object was refused;
    `is_in_memory`: hold a copy in RAM; `unloaded`: let the RAM copies of these go.
    """

    refusal: Refusal | None
    evicted: tuple[str, ...] = ()
    is_in_memory: bool = False
    unloaded: tuple[str, ...] = ()

    @property
    def is_admitted(self) -> bool:
        return self.refusal is None


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a hit changes. `prefetched_bytes`: the size, on the first use of a prefetched object,
    else 0. `is_loaded`: copy it into RAM; `unloaded`: let the RAM copies of these go."""

    prefetched_bytes: int = 0
    is_loaded: bool = False
    unloaded: tuple[str, ...] = ()


UNCHANGED: Final = Use()
"""What most hits change."""


class _Entry(msgspec.Struct, gc=False):
    size_bytes: int
    index_bytes: int
    segment: Segment
    is_unused_prefetch: bool
    belonging: Belonging | None


class Index:
    """The resident objects of one node. Deterministic: time is handed in, nothing is random."""

    def __init__(self, config: CacheConfig) -> None:
        """Raises ConfigError when a policy's name is unknown."""
        self.config = config
        self._policy = build_eviction(
            config.eviction, config.capacity_bytes, config.eviction_params
        )
        self.expects: Expecting | None = (
            self._policy if isinstance(self._policy, Expecting) else None
        )
        """The policy, if it wants to be told what is expected."""
        self._admission = build_admission(
            config.admission, config.capacity_bytes, config.admission_params
        )
        self._entries: dict[str, _Entry] = {}
        self._bytes: dict[Segment, int] = {"main": 0, "prefetched": 0, "pinned": 0}
        self._index_bytes = 0
        self._expiries = Expiries()
        """Of the prefetched segment."""
        self._memory = MemoryTier(config.memory_capacity_bytes, config.memory_object_bytes_max)
        self.prefetch_used_bytes = 0
        """Prefetched bytes that were asked for while resident."""
        self.prefetch_wasted_bytes = 0
        """Prefetched bytes that left before anyone asked."""

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """All resident bytes; at most the capacity."""
        return sum(self._bytes.values())

    @property
    def index_bytes(self) -> int:
        """What is known of the resident objects takes so much RAM; at most its bound."""
        return self._index_bytes

    @property
    def prefetched_bytes(self) -> int:
        """Of these, fetched and not yet asked for, and not pinned."""
        return self._bytes["prefetched"]

    @property
    def pinned_bytes(self) -> int:
        return self._bytes["pinned"]

    @property
    def memory_bytes(self) -> int:
        return self._memory.size_bytes

    @property
    def prefetch_bytes_max(self) -> int:
        """The bound of the prefetched segment now: its share, less where pins leave less."""
        share_bytes = int(self.config.capacity_bytes * self.config.prefetch_share)
        return min(share_bytes, self.config.capacity_bytes - self.pinned_bytes)

    def is_in_memory(self, object_id: str) -> bool:
        return self._memory.holds(object_id)

    def segment(self, object_id: str) -> Segment | None:
        entry = self._entries.get(object_id)
        return entry.segment if entry is not None else None

    def sizes(self) -> dict[str, int]:
        """Every resident object and its size, for reports and checks."""
        return {object_id: entry.size_bytes for object_id, entry in self._entries.items()}

    # -- coming in

    def add(
        self,
        object_id: str,
        size_bytes: int,
        now_s: float,
        *,
        index_bytes: int = ENTRY_BYTES,
        prefetch_until_s: float | None = None,
        is_pinned: bool = False,
        is_restored: bool = False,
        belonging: Belonging | None = None,
    ) -> Admission:
        """Offer an object that is complete. `index_bytes`: what knowing of it takes.
        `prefetch_until_s`: nobody has asked for it yet, keep it until then. `is_restored`: it was
        in the store already, so it is not judged again and not held in RAM before its first use;
        nor is what is pinned, which nobody may have asked for.
        `belonging`: what it is part of, for `expects`.

        Raises LocalProtocolError when the object is resident or its size negative.
        """
        if object_id in self._entries or size_bytes < 0:
            raise LocalProtocolError(f"cannot add {object_id} of {size_bytes} bytes to the index")
        evicted = list(self.expire(now_s))
        if self.expects is not None:
            self.expects.now_s = now_s
        is_prefetch = prefetch_until_s is not None
        refusal: Refusal | None = None
        if size_bytes > self.config.capacity_bytes or index_bytes > self.config.index_bytes_max:
            refusal = "too large"
        elif size_bytes > self.config.capacity_bytes - self.pinned_bytes:
            refusal = "pinned full"
        elif prefetch_until_s is not None and not is_pinned:
            if not self._make_prefetch_room(size_bytes, prefetch_until_s, evicted):
                refusal = "prefetch full"
        elif not (is_restored or is_pinned or self._is_wanted(object_id, size_bytes)):
            refusal = "not admitted"
        if refusal is None and not self._make_room(size_bytes, index_bytes, evicted):
            refusal = "pinned full"
        if refusal is not None:
            return Admission(refusal=refusal, evicted=tuple(evicted))
        segment: Segment = "pinned" if is_pinned else "prefetched" if is_prefetch else "main"
        entry = _Entry(size_bytes, index_bytes, segment, is_prefetch, belonging)
        self._entries[object_id] = entry
        self._index_bytes += index_bytes
        self._bytes[segment] += size_bytes
        self._order(object_id, entry)
        if prefetch_until_s is not None and not is_pinned:
            self._expiries.set(object_id, prefetch_until_s)
        if is_prefetch or is_restored or is_pinned:
            return Admission(refusal=None, evicted=tuple(evicted))
        unloaded = self._memory.load(object_id, size_bytes)
        return Admission(
            refusal=None,
            evicted=tuple(evicted),
            is_in_memory=unloaded is not None,
            unloaded=unloaded or (),
        )

    def _is_wanted(self, object_id: str, size_bytes: int) -> bool:
        room_bytes = self.config.capacity_bytes - self.size_bytes
        admits = self._admission.admits(object_id, size_bytes)
        return admits and self._policy.takes(size_bytes, room_bytes)

    def _make_prefetch_room(self, size_bytes: int, until_s: float, evicted: list[str]) -> bool:
        """Evict until one more prefetched object of this size may be held."""
        if self.expects is None:
            outlived = self._outlived(size_bytes, until_s)
            if outlived is None:
                return False
            evicted += [self._evict(soonest) for soonest in outlived]
            return True
        if size_bytes > self.prefetch_bytes_max:
            return False
        while self.prefetched_bytes + size_bytes > self.prefetch_bytes_max:
            victim = self.expects.unused_victim()
            assert victim is not None, "the policy holds every prefetched object"
            self._forget(victim)
            evicted.append(victim)
        return True

    def _outlived(self, size_bytes: int, until_s: float) -> list[str] | None:
        """The prefetched objects that must go for this one, all expiring before it; None when
        even that is not enough."""
        excess_bytes = self.prefetched_bytes + size_bytes - self.prefetch_bytes_max
        outlived: list[str] = []
        if excess_bytes <= 0:
            return outlived
        for object_id in self._expiries.before(until_s):
            outlived.append(object_id)
            excess_bytes -= self._entries[object_id].size_bytes
            if excess_bytes <= 0:
                return outlived
        return None

    def has_prefetch_room(
        self, size_bytes: int, now_s: float, belonging: Belonging | None = None
    ) -> bool:
        """Whether so much could be taken in before anyone has asked, without anything going that
        is as likely used."""
        if self.prefetched_bytes + size_bytes <= self.prefetch_bytes_max:
            return True
        if self.expects is None or belonging is None or size_bytes > self.prefetch_bytes_max:
            return False
        self.expects.now_s = now_s
        return self.expects.surpasses(belonging.group)

    def _make_room(self, size_bytes: int, index_bytes: int, evicted: list[str]) -> bool:
        """Evict until one more object of this size fits. False: everything left is pinned."""
        while (
            self.size_bytes + size_bytes > self.config.capacity_bytes
            or self._index_bytes + index_bytes > self.config.index_bytes_max
        ):
            if len(self._policy):
                victim = self._policy.victim()
                self._admission.evicted(victim, self._entries[victim].size_bytes)
                self._forget(victim)
                evicted.append(victim)
            else:
                soonest = self._expiries.soonest()
                if soonest is None:
                    return False
                evicted.append(self._evict(soonest))
        return True

    # -- being used

    def touch(self, object_id: str) -> Use:
        """The object was sent to a client. One that has left meanwhile is no error: hits are
        reported in batches, later than they happen."""
        entry = self._entries.get(object_id)
        if entry is None:
            return UNCHANGED
        self._admission.hit(object_id)
        used_bytes = 0
        if entry.is_unused_prefetch:
            entry.is_unused_prefetch = False
            used_bytes = entry.size_bytes
            self.prefetch_used_bytes += used_bytes
        if entry.segment == "prefetched":
            self._join_main(object_id, entry)
        elif entry.segment == "main":
            self._policy.hit(object_id)
        if self._memory.holds(object_id):
            self._memory.touch(object_id)
            return Use(prefetched_bytes=used_bytes) if used_bytes else UNCHANGED
        unloaded = self._memory.load(object_id, entry.size_bytes)
        if unloaded is None and not used_bytes:
            return UNCHANGED
        return Use(
            prefetched_bytes=used_bytes, is_loaded=unloaded is not None, unloaded=unloaded or ()
        )

    def _join_main(self, object_id: str, entry: _Entry) -> None:
        """A prefetched object is used for the first time."""
        self._expiries.discard(object_id)
        self._move(entry, "main")
        if self.expects is not None:  # ordered by it all along
            self.expects.hit(object_id)
        else:
            self._order(object_id, entry)

    def belong(self, object_id: str, belonging: Belonging) -> None:
        """It is known now what a resident object is part of."""
        entry = self._entries.get(object_id)
        if entry is not None and self.expects is not None:
            entry.belonging = belonging
            if entry.segment != "pinned":
                self.expects.regroup(object_id, belonging)

    def extend(self, object_id: str, prefetch_until_s: float) -> bool:
        """Keep a prefetched object at least until then. False when it is not in that segment."""
        return self._expiries.put_off(object_id, prefetch_until_s)

    def pin(self, object_id: str) -> bool:
        """Exempt a resident object from eviction and expiry. False when it is not resident."""
        entry = self._entries.get(object_id)
        if entry is None:
            return False
        if self._is_ordered(entry):
            self._policy.remove(object_id)
        self._expiries.discard(object_id)
        self._move(entry, "pinned")
        return True

    def unpin(self, object_id: str) -> bool:
        """Hand a pinned object to the eviction policy. False when it is not pinned."""
        entry = self._entries.get(object_id)
        if entry is None or entry.segment != "pinned":
            return False
        self._move(entry, "main")
        self._order(object_id, entry)
        return True

    # -- going out

    def remove(self, object_id: str) -> bool:
        """The object is gone (purged, lost, replaced). False when it was not resident."""
        if object_id not in self._entries:
            return False
        self._evict(object_id)
        return True

    def expire(self, now_s: float) -> tuple[str, ...]:
        """Let the prefetched objects go whose time is over; they have to be dropped."""
        expired = []
        while (due := self._expiries.due(now_s)) is not None:
            expired.append(self._evict(due))
        return tuple(expired)

    def deadline_s(self) -> float | None:
        """When `expire` has something to do next."""
        return self._expiries.next_s()

    # -- bookkeeping

    def _move(self, entry: _Entry, segment: Segment) -> None:
        self._bytes[entry.segment] -= entry.size_bytes
        self._bytes[segment] += entry.size_bytes
        entry.segment = segment

    def _order(self, object_id: str, entry: _Entry) -> None:
        """Tell the policy of it, if it orders what is in this segment."""
        if not self._is_ordered(entry):
            return
        if self.expects is None:
            self._policy.insert(object_id, entry.size_bytes)
        else:
            self.expects.insert_of(
                object_id,
                entry.belonging or Belonging(group=object_id),
                is_prefetch=entry.segment == "prefetched",
            )

    def _is_ordered(self, entry: _Entry) -> bool:
        """Whether the policy knows of it."""
        return entry.segment == "main" or (
            self.expects is not None and entry.segment == "prefetched"
        )

    def _evict(self, object_id: str) -> str:
        """Out of every structure, whichever segment it is in."""
        if self._is_ordered(self._entries[object_id]):
            self._policy.remove(object_id)
        self._forget(object_id)
        return object_id

    def _forget(self, object_id: str) -> None:
        """Out of everything but the policy, which has let go of it already."""
        entry = self._entries.pop(object_id)
        self._expiries.discard(object_id)
        self._memory.discard(object_id)
        self._bytes[entry.segment] -= entry.size_bytes
        self._index_bytes -= entry.index_bytes
        if entry.is_unused_prefetch:
            self.prefetch_wasted_bytes += entry.size_bytes
