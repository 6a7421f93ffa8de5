"""The control state of an origin: who is in the fleet, what was heard of it, plans, access."""

from origin.drivers.state.errors import StateError, StateFull, StateUnavailable, UrlTaken
from origin.drivers.state.store import ControlStore

__all__ = ["ControlStore", "StateError", "StateFull", "StateUnavailable", "UrlTaken"]
