"""The page's files: complete, and nothing in them that a stranger's text could turn."""

import re

import pytest

from origin.control.states import CHANGES_MAX, StateHistory
from origin.drivers.control.page import WebPage
from origin.fleet import EdgeStateChanged

PAGE = WebPage()
OURS = {path: file.content.decode() for path, file in PAGE.files.items() if "/vendor/" not in path}


def test_the_start_page_is_what_no_path_gives() -> None:
    assert PAGE("/") is PAGE("/index.html")
    file = PAGE("/")
    assert file is not None
    assert file.content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    ["", "//index.html", "/../page.py", "/js/../index.html", "/js", "/js/", "/web/index.html"],
)
def test_only_the_pages_files_are_given(path: str) -> None:
    assert PAGE(path) is None


def test_files_have_tags_of_their_own_and_the_vendored_one_its_licence() -> None:
    tags = [file.etag for file in PAGE.files.values()]
    assert len(set(tags)) == len(tags) > 20
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', tag) for tag in tags)
    licence = PAGE("/vendor/uPlot.LICENSE.txt")
    assert licence is not None
    assert b"MIT" in licence.content


def test_all_that_is_referred_to_is_there() -> None:
    html = OURS["/index.html"]
    for path in re.findall(r'(?:src|href)="(/[^"#]+)"', html):
        assert PAGE(path) is not None, path
    for path, text in OURS.items():
        for name in re.findall(r'from "\./([\w.]+)"', text):
            assert PAGE(f"/js/{name}") is not None, (path, name)


def test_nothing_is_inline_or_from_elsewhere_and_text_is_never_markup() -> None:
    html = OURS["/index.html"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    for path, text in OURS.items():
        outside = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert outside <= {"http://HOST"}, path
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, path


def test_an_edges_last_states_are_kept_with_their_reasons() -> None:
    history = StateHistory()
    for number in range(CHANGES_MAX + 5):
        history.take(
            EdgeStateChanged(edge="a", before="alive", after="dead", reason=str(number)),
            float(number),
        )
    kept = history.of("a")
    assert [one.reason for one in kept] == [str(number) for number in range(5, CHANGES_MAX + 5)]
    assert kept[-1].wall_s == CHANGES_MAX + 4
    history.forget("a")
    assert history.of("a") == ()
