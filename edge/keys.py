"""What of a request's target makes it another object.

The key of an object is the URL it is fetched from. So what is left out of the key is not sent
upstream either, and nothing that upstream has not seen can be mistaken for something it has:
two requests share an object only where upstream would get the same request for both.

Names of arguments are compared as they are written. One written otherwise (`utm%5Fsource`) is
another argument: it counts where `utm_source` is ignored, and is dropped where it is not allowed.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.config import KeyRules, QueryRule
from nearcast.cmcd import strip_query

TargetKey = Callable[[str], str]
"""The part of a target (path and query) that counts."""


def target_key(rules: KeyRules) -> TargetKey:
    """How the targets of a service are told apart."""
    if rules.query == "all" and not rules.sort:
        return strip_query
    kept = _kept(rules.query)

    def key(target: str) -> str:
        path, question, query = target.partition("?")
        if not question:
            return target
        arguments = [
            argument
            for argument in query.split("&")
            if (name := argument.partition("=")[0]) != "CMCD" and kept(name)
        ]
        if rules.sort:
            arguments.sort(key=_name)
        return f"{path}?{'&'.join(arguments)}" if arguments else path

    return key


def _kept(rule: str | QueryRule) -> Callable[[str], bool]:
    if isinstance(rule, str):
        return lambda name: True
    if rule.allow is not None:
        return frozenset(rule.allow).__contains__
    ignored = frozenset(rule.ignore or ())
    return lambda name: name not in ignored


def _name(argument: str) -> str:
    return argument.partition("=")[0]
