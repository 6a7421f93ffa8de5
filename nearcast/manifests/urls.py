"""URLs as they are written into manifests: relative to the manifest where that is possible."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import msgspec

_DIGITS = re.compile(r"[0-9]{1,15}")


class NumberedUrls(msgspec.Struct, frozen=True):
    """URLs that differ only in a number that counts up by one."""

    before: str
    after: str
    first_no: int
    digits_min: int

    def dash_template(self) -> str:
        """For SegmentTemplate@media, where a dollar sign is written twice."""
        number = "$Number$" if self.digits_min == 1 else f"$Number%0{self.digits_min}d$"
        return self.before.replace("$", "$$") + number + self.after.replace("$", "$$")


def relative(base: str, url: str) -> str:
    """What, resolved against `base`, gives `url`; `url` itself if nothing shorter does."""
    home, target = urlsplit(base), urlsplit(url)
    if (home.scheme, home.netloc) != (target.scheme, target.netloc):
        return url
    made = posixpath.relpath(target.path or "/", posixpath.dirname(home.path or "/"))
    if target.path.endswith("/"):
        made += "/"
    if ":" in made.partition("/")[0]:
        made = "./" + made
    if target.query:
        made += "?" + target.query
    return made if urljoin(base, made) == url else url


def numbered(urls: Sequence[str]) -> NumberedUrls | None:
    """The pattern of `urls`, if there is one; of several possible, the number furthest right that
    is not in the file's suffix."""
    suffix_at = urls[0].partition("?")[0].rfind(".")
    matches = sorted(
        _DIGITS.finditer(urls[0]), key=lambda match: (match.end() <= suffix_at, match.start())
    )
    for match in reversed(matches):
        if len(urls) == 1 and 0 <= suffix_at < match.start():
            continue  # `.m4s` alone says nothing
        text = match[0]
        before, after = urls[0][: match.start()], urls[0][match.end() :]
        for digits_min in dict.fromkeys((1, len(text))):
            pattern = NumberedUrls(before, after, int(text), digits_min)
            if all(
                url == f"{before}{pattern.first_no + index:0{digits_min}d}{after}"
                for index, url in enumerate(urls)
            ):
                return pattern
    return None
