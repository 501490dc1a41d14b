"""The API's own description: OpenAPI 3.1, made from its routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from gortc import __version__
from gortc.oam.route import JSON, OPEN, Route

ANSWER = {
    "type": "object",
    "required": ["code", "msg"],
    "properties": {"code": {"type": "integer"}, "msg": {"type": "string"}},
}


TEXT = {"type": "string"}
NUMBERS = {
    "limit": {"type": "integer", "minimum": 0, "maximum": 1000},
    "offset": {"type": "integer", "minimum": 0, "maximum": 2**31},
    "after": {"type": "integer", "minimum": 0, "maximum": 2**31},
    "minutes": {"type": "integer", "minimum": 1, "maximum": 10080},
}
"""The fields of queries that are numbers."""


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """It, as JSON has it."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        names = re.findall(r"<(?:\w+:)?(\w+)>", route.path)
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": "gortc", "version": __version__, "summary": "Management of a gortc server"},
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Answer": ANSWER},
        },
    }


def _operation(route: Route, names: list[str]) -> dict[str, Any]:
    refused = {"description": "It says why.", "content": _json()}
    done = {"description": "Done.", "content": _json() if route.kind == JSON else {route.kind: {"schema": TEXT}}}
    also = {"503": {"description": "It does not.", "content": done["content"]}} if route.path == "/readyz" else {}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": NUMBERS.get(name, TEXT)}
        for name, text in route.query.items()
    ]
    return {
        "summary": route.summary,
        "parameters": parameters,
        "security": [] if route.role == OPEN else [{"token": [route.role]}],
        "responses": {"200": done, **also, "default": refused},
    }


def _json() -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
