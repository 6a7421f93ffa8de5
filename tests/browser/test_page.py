"""The page with a real origin and real edges: what it shows, changes, and tells of a death."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.contrast import too_faint
from tests.e2e.conftest import EdgeProcess, StartEdge
from tests.e2e.test_fleet_whole import TITLE, join, watch
from tests.fleet_world import ControlOrigin

pytestmark = pytest.mark.browser

MANIFEST = f"/media/{TITLE}/manifest.mpd"
HOSTILE = "<img src=x onerror='window.hacked=1'>"


class World:
    def __init__(self, origin: ControlOrigin, edges: dict[str, EdgeProcess]) -> None:
        self.origin = origin
        self.edges = edges
        self.url = origin.admin_url
        self.token = origin.token


@pytest.fixture(scope="module")
def world(
    title_library: Path, start_edge: StartEdge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Two edges that report, one of which was watched from."""
    folder = tmp_path_factory.mktemp("page")
    library = folder / "library"
    shutil.copytree(title_library, library)
    with ControlOrigin(
        library, "control.plan.windows=00:00-24:00", "control.plan.apply=false"
    ) as origin:
        edges = {name: join(origin, start_edge, name, folder) for name in ("e1", "e2")}
        watch(origin, edges["e1"], MANIFEST)
        odd = origin.enrol("odd-1", region=HOSTILE, cluster="</script><b>")
        assert odd.beat().status == 200
        origin.wait_for(
            lambda: any(one["client_bytes"] for one in origin.api("GET", "/titles")["titles"]),
            "what was watched",
        )
        yield World(origin, edges)


def row(edge: str) -> str:
    return f"tr[data-key='{edge}']"


def test_signs_in_with_a_token_and_says_where_it_is(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, "", expected=("401",))
    expect(page.locator("#where")).to_contain_text("admin.token")
    page.get_by_label("Token").fill("nca1.wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("token is missing, wrong or over")
    page.get_by_label("Token").fill(world.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Fleet", exact=True)).to_be_visible()
    page.reload()
    expect(page.locator(row("e1"))).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_figures_change_without_a_reload(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token)
    expect(page.locator(f"{row('e1')} .badge")).to_have_text("●alive")
    page.evaluate("window.isSame = true")
    cell = page.locator(f"{row('e1')} td:has(.spark) > span > span")
    before = cell.text_content()
    watch(world.origin, world.edges["e1"], MANIFEST)
    expect(cell).not_to_have_text(before or "")
    assert page.evaluate("window.isSame") is True
    expect(page.locator(".tile", has_text="Hit ratio").locator("dd")).to_contain_text("%")
    expect(page.locator(".chart canvas")).to_have_count(8)


def test_text_from_edges_stays_text(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token, expected=("404",))
    expect(page.locator(row("odd-1"))).to_contain_text(HOSTILE)
    page.goto(f"{world.url}/#/edges/odd-1")
    expect(page.locator(".facts").first).to_contain_text(HOSTILE)
    page.goto(f"{world.url}/#/titles/{HOSTILE}")
    expect(page.get_by_role("alert")).to_contain_text("nobody knows a title")
    assert page.evaluate("window.hacked") is None
    page.goto(f"{world.url}/#/edges/nobody")
    expect(page.get_by_role("alert")).to_contain_text("there is no edge nobody")
    expect(page.get_by_role("button", name="Drain")).to_be_hidden()
    expect(page.locator(".chart").first).to_be_hidden()


def test_a_plan_is_looked_at_and_put_in_force(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token, "/plans")
    page.get_by_role("button", name="Make a plan now").click()
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("heading", name="What it changes")).to_be_visible()
    expect(page.locator(row("e1"))).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("odd")
    expect(page.locator("tr[data-key]")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.locator("tr[data-key]").first.get_by_role("button").click()  # the one that gets most
    expect(page.locator(".card", has_text="At e")).to_contain_text("Fetched in")
    expect(page.locator(".diff li").first).to_contain_text("added")
    page.get_by_role("button", name="Put in force").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("added")
    dialog.get_by_role("button", name="Put in force").click()
    expect(page.locator(".facts")).to_contain_text("● in force")
    expect(page.get_by_text("It is in force")).to_be_visible()
    plan_id = page.url.rpartition("/")[2]
    world.origin.wait_for(
        lambda: world.origin.api("GET", "/fleet")["plan_id"] == plan_id, "the plan in force"
    )
    page.get_by_role("link", name="Audit").click()
    expect(page.locator("tbody tr", has_text="plan.applied").first).to_contain_text(plan_id[:8])


def test_a_title_tells_where_it_is_and_why(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token, "/titles")
    page.keyboard.press("/")
    page.keyboard.type("episode 1")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="episode 1").click()
    expect(page.locator("h1")).to_contain_text("episode 1")
    expect(page.locator(f"{row('e1')}")).to_contain_text("kB")
    expect(page.locator(".chart canvas")).to_have_count(1)
    label = page.locator(".plot").get_attribute("aria-label") or ""
    assert "actual: newest" in label
    page.get_by_role("button", name="Why: e1").click()
    expect(page.locator(".because li").first).to_contain_text("worth")


def test_an_edge_is_drained_and_put_to_work_again(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token, "/edges/e1")
    expect(page.locator(".page-head .badge")).to_have_text("●alive")
    expect(page.locator(".facts").first).to_contain_text("c1")
    for button, sign in (("Drain", "↓draining"), ("Put to work", "●alive")):
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        expect(page.locator(".page-head .badge")).to_have_text(sign)
    expect(page.locator("section", has_text="Changed by people")).to_contain_text("edge.draining")
    expect(page.locator("section", has_text="States, and why").last).to_contain_text("alive")


def test_who_may_only_look_cannot_change(world: World, open_page: OpenPage) -> None:
    token = world.origin.api("POST", "/tokens", {"name": "looker", "role": "viewer"})["token"]
    page = open_page(world.url, token, "/edges/e1")
    expect(page.get_by_role("button", name="Drain")).to_be_disabled()
    expect(page.get_by_text("needs the role operator")).to_be_visible()
    page.get_by_role("link", name="Plans").click()
    expect(page.locator("h1")).to_have_text("Plans")
    assert not page.get_by_role("button", name="Make a plan now").is_visible()


def test_all_of_it_works_from_the_keyboard(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token)
    expect(page.locator(row("e2"))).to_be_visible()
    page.reload()
    expect(page.locator(row("e2"))).to_be_visible()
    seen = []
    for _ in range(100):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
              const node = document.activeElement;
              return {
                text: node.textContent || node.getAttribute("aria-label"),
                outline: getComputedStyle(node).outlineStyle,
                isIn: node !== document.body,
              };
            }"""
        )
        if not focus["isIn"]:
            break
        assert focus["outline"] != "none", focus
        seen.append(focus["text"].strip())
    assert seen[0] == "Skip to content"
    for text in ("Fleet", "Titles", "Plans", "Audit", "Sign out", "1 h", "24 h", "e1", "e2"):
        assert text in seen, (text, seen)
    page.locator("tbody a").last.focus()
    page.keyboard.press("Home")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.textContent")
    assert [first, second] == page.locator("tbody a").all_text_contents()[:2]
    page.keyboard.press("/")
    page.keyboard.type("e2")
    expect(page.locator("tr[data-key]")).to_have_count(1)
    page.keyboard.press("Tab")
    page.locator(f"{row('e2')} a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("e2")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    page.keyboard.press("/")  # there is nothing to search here
    assert page.url.endswith("#/edges/e2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screens_and_both_themes(world: World, open_page: OpenPage, scheme: str) -> None:
    plan = world.origin.api("GET", "/plans")["plans"][0]["plan_id"]
    page = open_page(world.url, world.token, width=360, height=740, scheme=scheme)
    for path in (
        "/",
        "/edges/e1",
        "/titles",
        f"/titles/{TITLE}",
        "/plans",
        f"/plans/{plan}",
        "/audit",
    ):
        page.goto(f"{world.url}/#{path}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("main *").nth(12)).to_be_attached()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.evaluate(too_faint()) == [], (path, scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    is_dark = sum(int(part) for part in background.strip("rgb()").split(",")) < 200
    assert is_dark == (scheme == "dark")
    other = "Theme: light" if scheme == "dark" else "Theme: dark"
    while page.locator("#theme").get_attribute("aria-label") != other:
        page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != background


def test_the_audit_log_says_what_changed(world: World, open_page: OpenPage) -> None:
    for region in ("eu", "us"):
        world.origin.api("POST", "/edges/odd-1/profile", {"region": region})
    page = open_page(world.url, world.token, path="/audit", width=1200)
    changed = page.locator("tbody tr", has_text="edge.profile").first.locator(".change li")
    expect(changed).to_have_text(["profile.region: eu → us"])
    enrolled = page.locator("tbody tr", has_text="edge.enrolled").first.locator(".change")
    expect(enrolled).to_contain_text("profile.capacity_bytes: 1 TB")
    cells = page.locator("tbody td:nth-child(4)").all_inner_texts()
    assert max(len(text) for text in cells) < 40  # no plan's 64 digits
    entry_px = page.evaluate(
        "Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight))"
    )
    assert entry_px < 400
    page.goto(f"{world.url}/#/edges/odd-1")
    expect(page.locator(".changes .change li").first).to_have_text("profile.region: eu → us")


def test_says_so_when_nothing_is_heard(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token)
    process = world.origin.process
    process.send_signal(signal.SIGSTOP)
    try:
        expect(page.locator("#live")).to_contain_text("No news")
    finally:
        process.send_signal(signal.SIGCONT)
    expect(page.locator("#live")).to_have_text("Live")


def test_a_killed_edge_is_shown_dead_within_ten_seconds(world: World, open_page: OpenPage) -> None:
    page = open_page(world.url, world.token)
    world.origin.wait_for(lambda: world.origin.edge("e2")["state"] == "alive", "e2 alive")
    expect(page.locator(f"{row('e2')} .badge")).to_have_text("●alive")
    killed_s = time.monotonic()
    os.kill(world.edges["e2"].process.pid, signal.SIGKILL)
    expect(page.locator(f"{row('e2')} .badge")).to_have_text("✕dead", timeout=10_000)
    print(f"dead on the page {time.monotonic() - killed_s:.2f} s after it was killed")
    expect(page.locator("#announce")).to_contain_text("e2 is dead")
    page.goto(f"{world.url}/#/edges/e2")
    expect(page.locator("section", has_text="States, and why").last).to_contain_text("→ dead")
