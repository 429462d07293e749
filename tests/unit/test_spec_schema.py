import importlib.util
import json
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel

from pilotage.spec import scaffold
from pilotage.spec.schema import schema
from pilotage.spec.use_case import UseCase

ROOT = Path(__file__).parents[2]


def models(kind: Any = UseCase) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    else:
        for part in get_args(kind):
            yield from models(part)


def generate() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Any]:
    scaffold.write(tmp_path / "desk")
    return tomllib.loads((tmp_path / "desk/usecase.toml").read_text())


@pytest.fixture
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_it_passes_the_scaffold(validator: jsonschema.Draft202012Validator, tables: dict[str, Any]) -> None:
    assert list(validator.iter_errors(tables)) == []


def test_it_passes_ten_lines(validator: jsonschema.Draft202012Validator) -> None:
    text = 'name = "a"\nowner = "b"\n[variants.x]\nupstream = "openai"\nmodel = "m"'
    assert list(validator.iter_errors(tomllib.loads(text))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ownr", "x"),
        ("tier", "lmited"),
        ("goals.Bad", {}),
        ("goals.resolved.matures_after", "6 hours"),
        ("goals.resolved.matures_after", 6),
        ("goals.resolved.today", "0.5"),
        ("rollout.steps", []),
        ("variants.assistant.temperature", 0.2),
        ("budget", None),
    ],
)
def test_it_refuses_what_the_models_refuse(
    validator: jsonschema.Draft202012Validator, tables: dict[str, Any], path: str, value: object
) -> None:
    *outer, last = path.split(".")
    table = tables
    for key in outer:
        table = table[key]
    table[last] = value
    assert list(validator.iter_errors(tables))


def test_its_defaults_are_such_as_the_file_could_give(validator: jsonschema.Draft202012Validator) -> None:
    definitions = schema()["$defs"]
    for definition in definitions.values():
        for name, field in definition["properties"].items():
            if "default" in field and "$ref" not in field:
                part = {**field, "$defs": definitions}
                assert list(validator.evolve(schema=part).iter_errors(field["default"])) == [], name


def test_every_table_and_key_says_what_it_means() -> None:
    for model in set(models()):
        assert model.__doc__, model
        for key, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{key}"


def test_the_reference_shows_every_table_and_key() -> None:
    text = (ROOT / "docs/reference/usecase.md").read_text()
    for model in set(models()):
        for key in model.model_fields:
            assert re.search(rf"^\| `{key}` \|", text, re.MULTILINE), f"{model.__name__}.{key}"
    for table in (
        "goals.NAME",
        "signals.NAME",
        "guardrails.NAME",
        "rollout.steps[]",
        "variants.NAME.price",
        "approvals",
    ):
        assert f"`[{table}]`" in text


def test_the_documents_of_the_file_are_up_to_date() -> None:
    wanted = generate().documents()
    for path in ("usecase.schema.json", "reference/usecase.md"):
        assert (ROOT / "docs" / path).read_text() == wanted[path], f"run: python docs/generate.py ({path})"
    assert json.loads(wanted["usecase.schema.json"])["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_stale_document_is_named(tmp_path: Path) -> None:
    program = (ROOT / "docs/generate.py").read_text()
    (tmp_path / "generate.py").write_text(program)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "generate.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--check").returncode == 1
    assert run().returncode == 0
    assert run("--check").returncode == 0
    (tmp_path / "reference/usecase.md").write_text("old")
    stale = run("--check")
    assert stale.returncode == 1
    assert stale.stdout == "docs/reference/usecase.md is out of date; run: python docs/generate.py\n"
