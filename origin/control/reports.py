"""What players' event reports (CMCD version 2) say of edges.

A report is a line of keys as in a request. Those that tell of a failed request name where it went,
by `url` or by `cdn`, which our pathways fill with the edge's id. Anybody may send them, so they are
counted against an edge and decide nothing by themselves (`origin.fleet`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

LINES_MAX: Final = 200
LINE_LENGTH_MAX: Final = 4_096

# `key=value` with the value quoted, in a list, or bare.
_PAIR = re.compile(r'\s*([a-z]{1,8})(?:=(?:"((?:[^"\\]|\\.)*)"|\(([^)]*)\)|([^,"()]*)))?(?:,|$)')


def errors_of(body: str, edges_by_host: Mapping[str, str]) -> tuple[Counter[str], int]:
    """Failures by edge, and how many lines were read. `edges_by_host`: `host[:port]` and edge's
    ids, in lower case, to edges."""
    found: Counter[str] = Counter()
    count = 0
    for line in body.splitlines()[:LINES_MAX]:
        if not line or len(line) > LINE_LENGTH_MAX:
            continue
        count += 1
        keys = dict(_pairs(line))
        if not _is_failure(keys):
            continue
        for place in (_host(keys.get("url", "")), keys.get("cdn", "").lower()):
            edge = edges_by_host.get(place)
            if place and edge is not None:
                found[edge] += 1
                break
    return found, count


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(line):
        match = _PAIR.match(line, position)
        if match is None:
            position = line.find(",", position) + 1
            if position == 0:
                return
            continue
        position = match.end() if match.end() > position else position + 1
        yield match[1], next((part for part in match.groups()[1:] if part is not None), "")


def _is_failure(keys: Mapping[str, str]) -> bool:
    status = keys.get("rc", "")
    if status.isascii() and status.isdecimal():
        return status == "0" or (len(status) == 3 and status[0] == "5")
    return "ec" in keys or keys.get("sta") == "f" or keys.get("e") == "e"


def _host(url: str) -> str:
    text = unquote(url) if "%3A" in url[:12].upper() else url
    try:
        return urlsplit(text).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
