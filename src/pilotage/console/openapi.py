"""The control API described for programs, made from the commands themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from pilotage import __version__
from pilotage.governance.commands import COMMANDS

_QUERIES = {
    "/api/v1/server": ("What this server is and where its gateway is.", ()),
    "/api/v1/status": ("Every use case that the key may see, and how the controller does.", ()),
    "/api/v1/use-cases/{name}": ("One use case.", ()),
    "/api/v1/analysis/{name}": ("What one use case's rollout has shown so far, as one verdict.", ()),
    "/api/v1/ledger": ("Entries of the ledger, oldest first.", ("after", "use_case", "newest")),
    "/api/v1/events": ("The newest sealed events of one table, newest first.", ("table", "limit", "use_case")),
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    schemas, components = msgspec.json.schema_components(
        [command.arguments for command in COMMANDS.values()], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Any] = {
        f"/api/v1/commands/{name}": {
            "post": {
                "operationId": name,
                "summary": f"Run the command {name}. Needs the role {' or '.join(command.roles)}.",
                "requestBody": {"content": {"application/json": {"schema": schema}}},
                "responses": _responses({"type": "object", "properties": {"result": {"type": "object"}}}),
            }
        }
        for (name, command), schema in zip(COMMANDS.items(), schemas, strict=True)
    }
    for path, (summary, parameters) in _QUERIES.items():
        listed: list[dict[str, Any]] = [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in parameters
        ]
        if "{name}" in path:
            listed.append({"name": "name", "in": "path", "required": True, "schema": {"type": "string"}})
        paths[path] = {"get": {"summary": summary, "parameters": listed, "responses": _responses({"type": "object"})}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pilotage control API", "version": __version__},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _responses(schema: dict[str, Any]) -> dict[str, Any]:
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {
        "200": {"description": "Done.", "content": {"application/json": {"schema": schema}}},
        "default": {"description": "Refused, with a reason.", **error},
    }
