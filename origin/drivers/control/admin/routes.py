"""The admin API as a table: who may call what, with what, and what comes back.

The table is what requests are routed by and what the OpenAPI document is made of, so the two cannot
disagree.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from origin.records import Role

PREFIX: Final = "/v1/admin"
PARAMETERS_MAX: Final = 32
Method = Literal["GET", "POST", "DELETE"]


class ApiError(Exception):
    """An answer of 4xx or 5xx; `error` is a word for programs, `detail` a sentence for people."""

    def __init__(self, status: int, error: str, detail: str, *, retry_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail
        self.retry_s = retry_s


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer of 4xx and 5xx."""

    error: str
    """A word for programs."""
    detail: str
    """A sentence for people: what was wrong, and what to do."""


class Caller(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    """Of the token."""
    role: Role


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, read and checked. `query` and `body` are of the types that the route names."""

    caller: Caller
    path: Mapping[str, str]
    query: Any = None
    body: Any = None


Handler = Callable[[Call], Awaitable[Any]]


class Route:
    """`path` is below /v1/admin, with names in braces. `answer` is the type of what the handler
    returns; None: nothing, and the answer is 204."""

    def __init__(
        self,
        method: Method,
        path: str,
        role: Role,
        handler: Handler,
        summary: str,
        *,
        answer: Any = None,
        query: type[msgspec.Struct] | None = None,
        body: type[msgspec.Struct] | None = None,
    ) -> None:
        self.method = method
        self.path = PREFIX + path
        self.role = role
        self.handler = handler
        self.summary = summary
        self.answer = answer
        self.query = query
        self.body = body
        self.names = tuple(re.findall(r"{(\w+)}", path))
        self._pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", re.escape(self.path)
            .replace(r"\{", "{").replace(r"\}", "}")))  # fmt: skip

    def match(self, path: str) -> dict[str, str] | None:
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in found.groupdict().items()}

    def read_query(self, text: str) -> Any:
        """Raises ApiError."""
        if self.query is None:
            return None
        try:
            given = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
        except ValueError as error:
            raise ApiError(
                400, "bad_request", f"there may be {PARAMETERS_MAX} parameters"
            ) from error
        unknown = sorted(set(given) - set(self.query.__struct_encode_fields__))
        if any("\0" in value for value in given.values()):
            raise _no_text("the query")
        if unknown:
            known = ", ".join(self.query.__struct_encode_fields__)
            raise ApiError(400, "bad_request", f"unknown parameter {unknown[0]!r}; known: {known}")
        try:
            return msgspec.convert(given, self.query, strict=False)
        except msgspec.ValidationError as error:
            raise ApiError(400, "bad_request", f"query: {error}") from error

    def read_body(self, content: bytes) -> Any:
        """Raises ApiError."""
        if self.body is None:
            return None
        try:
            return msgspec.json.decode(content or b"{}", type=self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(400, "bad_request", f"body: {error}") from error


def find(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route for a request, and what its path names. Raises ApiError."""
    if "%00" in path:
        raise _no_text("the path")
    others: list[str] = []
    for route in routes:
        named = route.match(path)
        if named is None:
            continue
        if route.method == method or (method == "HEAD" and route.method == "GET"):
            return route, named
        others.append(route.method)
    if others:
        raise ApiError(405, "method", f"{path[:200]} takes {', '.join(sorted(set(others)))}")
    raise ApiError(404, "not_found", f"there is no {path[:200]}: see {PREFIX}/openapi.json")


def _no_text(where: str) -> ApiError:
    """PostgreSQL has no text with the character 0, and nothing here has a name with it."""
    return ApiError(400, "bad_request", f"{where} has the character 0")
