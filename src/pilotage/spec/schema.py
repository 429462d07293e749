"""The JSON Schema of `usecase.toml`, for editors: generated from the models."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from pilotage.spec.quantity import duration_text
from pilotage.spec.use_case import UseCase

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Plain(GenerateJsonSchema):
    """TOML has no null, and generated titles say nothing."""

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": DIALECT, **super().generate(schema, mode), "title": "usecase.toml"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.get("default")
        if default is None:
            made.pop("default", None)
        elif isinstance(default, int) and made.get("type") == "string":
            made["default"] = duration_text(default)
        return made


def schema() -> dict[str, Any]:
    """Return JSON Schema, draft 2020-12."""
    return UseCase.model_json_schema(schema_generator=_Plain)
