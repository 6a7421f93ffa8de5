"""Common Media Client Data (CTA-5004): what a player tells the edge with each request.

A player sends a dictionary of keys either as one URL-encoded query argument `CMCD=` or as the four
request headers `CMCD-Object`, `CMCD-Request`, `CMCD-Session` and `CMCD-Status`. On the wire times
are in milliseconds and rates in kbit/s; strings are quoted, tokens are not, a flag is there or not.
Version 2 of the standard also puts values into lists, `br=(1701)`, and gives them parameters,
`(700;v)`: of a list the first value is taken, parameters are ignored.

Reading never raises: a key that is unknown, malformed or out of range is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import floor
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import msgspec

from nearcast.units import ms_from_s, s_from_ms

TEXT_LENGTH_MAX: Final = 4096
"""Longer data is ignored whole; players send a few hundred characters."""

KEY_COUNT_MAX: Final = 64
"""Keys looked at; version 2 defines fewer. Bounds the work on hostile text."""

STRING_LENGTH_MAX: Final = 128
"""For sid and cid: version 1 allows 64 characters, version 2 allows 128."""

NUMBER_MAX: Final = 1e12
"""Anything above is nonsense, in milliseconds as in kbit/s."""

ROUNDING: Final = 100
"""bl and dl go in steps of 100 ms, mtp and rtp in steps of 100 kbit/s."""

HeaderShard = Literal["CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status"]


class Cmcd(msgspec.Struct, frozen=True, kw_only=True):
    """The keys a player sent, in our units; None (or False) for those it did not send."""

    session_id: str | None = None  # sid
    content_id: str | None = None  # cid
    object_type: str | None = None  # ot: m a v av i c tt k o
    stream_format: str | None = None  # sf: d h s o
    stream_type: str | None = None  # st: v l
    bitrate_kbps: float | None = None  # br
    top_bitrate_kbps: float | None = None  # tb
    duration_s: float | None = None  # d
    buffer_s: float | None = None  # bl
    deadline_s: float | None = None  # dl
    throughput_kbps: float | None = None  # mtp
    requested_throughput_kbps: float | None = None  # rtp
    playback_rate: float | None = None  # pr
    next_object: str | None = None  # nor
    is_starved: bool = False  # bs
    is_startup: bool = False  # su
    version: int | None = None  # v
    error_code: str | None = None  # ec, of version 2
    start_delay_s: float | None = None  # msd, of version 2
    state: str | None = None  # sta, of version 2: s p k r a w e f q d


_Kind = Literal[
    "string", "path", "token", "ms", "ms100", "kbps", "kbps100", "decimal", "int", "flag"
]


class _Key(msgspec.Struct, frozen=True):
    """How one key is written: its field, its header, its type and (for tokens) its values."""

    field: str
    shard: HeaderShard
    kind: _Kind
    tokens: frozenset[str] = frozenset()


_OBJECT_TYPES = frozenset(("m", "a", "v", "av", "i", "c", "tt", "k", "o"))

# In alphabetical order, which is the order on the wire.
_KEYS: Final[dict[str, _Key]] = {
    "bl": _Key("buffer_s", "CMCD-Request", "ms100"),
    "br": _Key("bitrate_kbps", "CMCD-Object", "kbps"),
    "bs": _Key("is_starved", "CMCD-Status", "flag"),
    "cid": _Key("content_id", "CMCD-Session", "string"),
    "d": _Key("duration_s", "CMCD-Object", "ms"),
    "dl": _Key("deadline_s", "CMCD-Request", "ms100"),
    "ec": _Key("error_code", "CMCD-Status", "string"),
    "msd": _Key("start_delay_s", "CMCD-Session", "ms"),
    "mtp": _Key("throughput_kbps", "CMCD-Request", "kbps100"),
    "nor": _Key("next_object", "CMCD-Request", "path"),
    "ot": _Key("object_type", "CMCD-Object", "token", _OBJECT_TYPES),
    "pr": _Key("playback_rate", "CMCD-Session", "decimal"),
    "rtp": _Key("requested_throughput_kbps", "CMCD-Status", "kbps100"),
    "sf": _Key("stream_format", "CMCD-Session", "token", frozenset("dhso")),
    "sid": _Key("session_id", "CMCD-Session", "string"),
    "st": _Key("stream_type", "CMCD-Session", "token", frozenset("vl")),
    "sta": _Key("state", "CMCD-Request", "token", frozenset("spkrawefqd")),
    "su": _Key("is_startup", "CMCD-Request", "flag"),
    "tb": _Key("top_bitrate_kbps", "CMCD-Object", "kbps"),
    "v": _Key("version", "CMCD-Session", "int"),
}
_HEADER_NAMES = frozenset(("cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"))
_ARGUMENT = "CMCD="

# One `key`, `key=value` or what stands in its place, up to the next comma outside quotes and
# parentheses. Every alternative is linear in the text it takes.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(
    rf'\s*([A-Za-z][A-Za-z0-9_.*-]{{0,63}})(?:=({_QUOTED}|\((?:[^()"]|{_QUOTED})*\)|[^,;"()]*))?'
    r"(?:;[^,]*)?\s*(?:,|$)"
)
_FIRST_OF_LIST = re.compile(rf"\(\s*({_QUOTED}|[^\s;)]+)")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{0,9})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def from_request(target: str, headers: Iterable[tuple[str, str]]) -> Cmcd | None:
    """What the player said with this request, in either form; None if nothing that can be read.

    `target` is a path with query or a whole URL. Where both forms are there, the query is taken.
    """
    if _ARGUMENT in target:
        for argument in _query(target).split("&"):
            if argument.startswith(_ARGUMENT):
                text = argument[len(_ARGUMENT) :]
                if len(text) > TEXT_LENGTH_MAX:
                    return None
                return _read(unquote(text))
    # Four names of 11 or 12 characters: the length alone turns nearly every other field away.
    shards = [
        value
        for name, value in headers
        if len(name) in (11, 12) and name[4] == "-" and name.lower() in _HEADER_NAMES
    ]
    if not shards:
        return None
    text = ",".join(shards)
    return None if len(text) > TEXT_LENGTH_MAX else _read(text)


def strip_query(target: str) -> str:
    """`target` without its CMCD argument; every other argument stays as it is, in its place.

    The name is matched as the standard writes it, in upper case: `cmcd=` is somebody else's.
    """
    if "CMCD" not in target:
        return target
    path, question, rest = target.partition("?")
    if not question:
        return target
    query, hash_sign, fragment = rest.partition("#")
    arguments = query.split("&")
    kept = [one for one in arguments if one != "CMCD" and not one.startswith(_ARGUMENT)]
    if len(kept) == len(arguments):
        return target
    return path + ("?" + "&".join(kept) if kept else "") + hash_sign + fragment


def to_query(cmcd: Cmcd) -> str:
    """The URL-encoded value of the `CMCD=` argument; empty if there is nothing to say."""
    return quote(",".join(text for _, text in _written(cmcd)), safe="")


def to_headers(cmcd: Cmcd) -> dict[str, str]:
    """The same as request headers; strings that a header cannot hold are left out."""
    shards: dict[str, list[str]] = {}
    for key, text in _written(cmcd):
        if text.isascii():
            shards.setdefault(key.shard, []).append(text)
    return {name: ",".join(shards[name]) for name in sorted(shards)}


def _query(target: str) -> str:
    return target.partition("?")[2].partition("#")[0]


def _read(text: str) -> Cmcd | None:
    pairs = _split_plain(text)
    if pairs is None:
        pairs = _split(text)
    fields: dict[str, Any] = {}
    for name, raw in pairs:
        key = _KEYS.get(name)
        if key is not None:
            value = _value(key, raw)
            if value is not None:
                fields[key.field] = value
    return Cmcd(**fields) if fields else None


def _split_plain(text: str) -> list[tuple[str, str | None]] | None:
    """What `_split` gives, where commas and equal signs alone tell it; None elsewhere.

    Players send plain text nearly always, and this takes half the time.
    """
    if "(" in text or ")" in text or ";" in text or "\\" in text:
        return None
    pairs: list[tuple[str, str | None]] = []
    for part in text.split(",", KEY_COUNT_MAX)[:KEY_COUNT_MAX]:
        name, equals, raw = part.partition("=")
        if '"' in part and (raw.count('"') != 2 or raw[0] != '"' or raw.rstrip()[-1] != '"'):
            return None
        if equals:
            pairs.append((name.lstrip(), raw.strip()))
        else:
            pairs.append((name.strip(), None))
    return pairs


def _split(text: str) -> list[tuple[str, str | None]]:
    """Key and value of each pair; what is no pair is passed over up to the next comma."""
    pairs: list[tuple[str, str | None]] = []
    position = 0
    for _ in range(KEY_COUNT_MAX):
        if position >= len(text):
            break
        match = _PAIR.match(text, position)
        if match is None:
            position = text.find(",", position) + 1
            if position == 0:
                break
        else:
            position = match.end()
            pairs.append((match[1], None if match[2] is None else match[2].strip()))
    return pairs


def _value(key: _Key, text: str | None) -> str | float | bool | None:
    if text is None or key.kind == "flag":
        return True if key.kind == "flag" and text in (None, "?1", "true") else None
    if text.startswith("("):
        first = _FIRST_OF_LIST.match(text)
        if first is None:
            return None
        text = first[1]
    if key.kind in ("string", "path"):
        return _string(key, text)
    if key.kind == "token":
        text = text.strip('"')
        return text if text in key.tokens else None
    return _number(key, text)


def _string(key: _Key, text: str) -> str | None:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
    if key.kind == "path":
        text = unquote(text) if "%" in text else text
    elif len(text) > STRING_LENGTH_MAX:
        return None
    return None if not text or _CONTROL.search(text) else text


def _number(key: _Key, text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not 0 <= value <= NUMBER_MAX:
        return None
    if key.kind == "int":
        return int(value) if value == int(value) else None
    return s_from_ms(value) if key.kind in ("ms", "ms100") else value


def _written(cmcd: Cmcd) -> Iterator[tuple[_Key, str]]:
    """Each key that has something to say, with its text, in the order of the wire.

    `pr` and `v` are left out when they are 1, as the standard asks.
    """
    for name, key in _KEYS.items():
        value = getattr(cmcd, key.field)
        if key.kind == "flag":
            if value:
                yield key, name
        elif value is not None:
            text = _text(key, value)
            if text is not None and (name not in ("pr", "v") or text != "1"):
                yield key, f"{name}={text}"


def _text(key: _Key, value: Any) -> str | None:
    if key.kind in ("string", "path"):
        if not value or _CONTROL.search(value):
            return None
        if key.kind == "path":
            value = quote(value, safe="")
        elif len(value) > STRING_LENGTH_MAX:
            return None
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if key.kind == "token":
        return str(value) if value in key.tokens else None
    wire = ms_from_s(value) if key.kind in ("ms", "ms100") else float(value)
    if not 0 <= wire <= NUMBER_MAX:  # also turns NaN away
        return None
    if key.kind == "decimal":
        return f"{wire:.2f}".rstrip("0").rstrip(".")
    step = ROUNDING if key.kind in ("ms100", "kbps100") else 1
    return str(floor(wire / step + 0.5) * step)
