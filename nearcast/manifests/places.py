"""Where segments are, from the references that a manifest lists: by a rule, if there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import join
from nearcast.manifests.tables import Listed, Template
from nearcast.manifests.urls import numbered


def read_places(references: Sequence[str], base_url: str) -> Template | Listed:
    """The URLs of these references, in order. Raises RemoteProtocolError."""
    first = references[0]
    if len(references) > 1 and all(reference == first for reference in references):
        return Template((join(base_url, first),), (), 0)
    return _numbered(references, base_url) or Listed(tuple(_joined(references, base_url)))


def _numbered(references: Sequence[str], base_url: str) -> Template | None:
    pattern = numbered(references)
    if pattern is None:
        return None
    try:
        pieces = split_joined(base_url, (pattern.before, pattern.after))
    except RemoteProtocolError:
        return None  # the number is where none of ours can stand, such as in a port
    if pieces is None:
        return None
    made = Template(pieces, (("Number", pattern.digits_min),), pattern.first_no)
    # The first and the last are looked at as they are: a rule must not let a bad one through.
    last = len(references) - 1
    is_true = all(made.url(index) == join(base_url, references[index]) for index in (0, last))
    return made if is_true else None


def split_joined(base_url: str, pieces: Sequence[str]) -> tuple[str, ...] | None:
    """The pieces of a reference between which numbers come, as pieces of a URL; None when the
    numbers get lost on the way."""
    # A run of digits that nothing holds marks the places through the joining.
    token = "0123456789"
    while any(token in piece for piece in (base_url, *pieces)):
        token += "0"
    made = tuple(join(base_url, token.join(pieces)).split(token))
    return made if len(made) == len(pieces) else None


def _joined(references: Sequence[str], base_url: str) -> Iterator[str]:
    before, url = None, ""
    for reference in references:
        if reference != before:  # ranges of one file come one behind the other
            before, url = reference, join(base_url, reference)
        yield url
