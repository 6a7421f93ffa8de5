"""What is remembered of networks, and what is not."""

import numpy as np
import pytest

from nearcast.errors import InputError
from predictor.bandwidth import memory
from predictor.bandwidth.memory import NETWORKS_MAX, Store, forgotten, learnt, prior_of

DAY_S = 86400.0
HOME = "wifi/home"


def allowed() -> Store:
    return Store(salt="s", is_allowed=True)


def test_without_consent_nothing_is_kept() -> None:
    store = Store(salt="s")
    assert learnt(store, HOME, np.array([1000.0]), 0.0) is store
    assert prior_of(store, HOME, 0.0) is None


def test_a_network_is_foreseen_as_it_was() -> None:
    store = allowed()
    for session in range(5):
        store = learnt(store, HOME, np.array([4096.0, 2048.0, 8192.0]), session * DAY_S)
    prior = prior_of(store, HOME, 5 * DAY_S)
    assert prior is not None
    assert prior.level == pytest.approx(12.0)
    assert 0.7 < prior.spread < 1.2
    assert prior_of(store, "wifi/elsewhere", 0.0) is None


def test_age_widens_and_in_the_end_forgets() -> None:
    store = learnt(allowed(), HOME, np.array([1000.0, 1000.0]), 0.0)
    soon, later = prior_of(store, HOME, DAY_S), prior_of(store, HOME, 90 * DAY_S)
    assert soon is not None
    assert later is not None
    assert soon.spread < later.spread
    assert prior_of(store, HOME, 181 * DAY_S) is None


def test_a_changed_network_is_soon_known_anew() -> None:
    store = allowed()
    for session in range(50):
        store = learnt(store, HOME, np.array([1024.0]), session * DAY_S)
    for session in range(50, 62):
        store = learnt(store, HOME, np.array([65536.0]), session * DAY_S)
    prior = prior_of(store, HOME, 62 * DAY_S)
    assert prior is not None
    assert prior.level > 14.0


def test_names_are_not_written_down_and_differ_by_store() -> None:
    store = learnt(allowed(), HOME, np.array([1000.0]), 0.0)
    assert b"home" not in memory.encode(store)
    assert store.key(HOME) != Store(salt="t").key(HOME)


def test_the_least_recent_networks_go_first() -> None:
    store = allowed()
    for place in range(NETWORKS_MAX + 5):
        store = learnt(store, f"wifi/{place}", np.array([1000.0]), float(place))
    assert len(store.networks) == NETWORKS_MAX
    assert prior_of(store, "wifi/4", 40.0) is None
    assert prior_of(store, "wifi/5", 40.0) is not None


def test_forgetting() -> None:
    store = learnt(allowed(), HOME, np.array([1000.0]), 0.0)
    store = learnt(store, "other", np.array([1000.0]), 0.0)
    assert prior_of(forgotten(store, HOME), HOME, 0.0) is None
    assert len(forgotten(store, HOME).networks) == 1
    assert not forgotten(store).networks


def test_outages_and_nothing_are_survived() -> None:
    store = learnt(allowed(), HOME, np.array([np.nan, np.nan]), 0.0)
    assert not store.networks
    store = learnt(store, HOME, np.array([0.0, np.nan]), 0.0)
    prior = prior_of(store, HOME, 0.0)
    assert prior is not None
    assert np.isfinite(prior.level)


def test_a_store_survives_its_text() -> None:
    store = learnt(allowed(), HOME, np.array([1000.0, 3000.0]), 7.0)
    assert memory.decode(memory.encode(store), "memory.json") == store


def test_a_damaged_store_is_named_with_its_line() -> None:
    text = memory.encode(learnt(allowed(), HOME, np.array([1000.0]), 0.0))
    with pytest.raises(InputError, match=r"memory.json, line 2"):
        memory.decode(text.replace(b'"salt": "s"', b'"salt": s'), "memory.json")
    with pytest.raises(InputError, match=r"memory.json, line 3"):
        memory.decode(text.replace(b"true", b'"yes"'), "memory.json")
