"""The OpenAPI 3.1 document of the admin API, made of its table of routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from origin.drivers.control.admin.routes import ErrorBody, Route

_REFERENCE: Final = "#/components/schemas/{name}"


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    kinds: list[Any] = [ErrorBody]
    for route in routes:
        kinds += [kind for kind in (route.answer, route.body, route.query) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, by_kind, components
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nearcast origin: admin API",
            "version": version,
            "description": "Tokens have roles: viewer reads, operator also drains edges and makes "
            "and applies plans, admin also lets edges and people in and out.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "nearcast_session"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _operation(
    route: Route, by_kind: dict[int, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": f"Needs the role {route.role}.",
        "responses": {
            "4XX": {
                "description": "Refused",
                "content": {"application/json": {"schema": by_kind[id(ErrorBody)]}},
            }
        },
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.names
    ]
    if route.query is not None:
        fields = components[route.query.__name__]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in fields.get("required", ()),
                "schema": schema,
            }
            for name, schema in fields["properties"].items()
        ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_kind[id(route.body)]}},
        }
    if route.answer is None:
        operation["responses"]["204"] = {"description": "Done"}
    else:
        operation["responses"]["200"] = {
            "description": "Done",
            "content": {"application/json": {"schema": by_kind[id(route.answer)]}},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/v1/admin"))
    return "_".join((route.method.lower(), *words))
