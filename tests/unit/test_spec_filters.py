"""Filters in the file: what they become, and what is said about those that cannot be."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from pilotage.errors import FaultyFile
from pilotage.spec.filter_rule import FilterRule
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.snapshot import files, releases
from pilotage.spec.use_case import UseCase

HEAD = 'name = "support"\nowner = "Jane"\n[variants.a]\nupstream = "openai"\nmodel = "m"\nfilters = ["one"]\n'
DOCUMENT = Path(__file__).parents[2] / "docs/filters.md"


def rules(text: str, **files: str) -> tuple[FilterRule, ...]:
    folder = Folder({"usecase.toml": text.encode(), **{name: data.encode() for name, data in files.items()}})
    return releases(load(folder), folder)[-1].filters


def faults(text: str) -> list[str]:
    with pytest.raises(FaultyFile) as raised:
        rules(text)
    return list(raised.value.faults)


def test_the_documents_example_is_what_it_says() -> None:
    example, others, shape, metric = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    bare = HEAD.replace('filters = ["one"]\n', "")
    assert load(Folder({"usecase.toml": (bare + metric).encode()})).guardrails["found"].source == "filtered"
    assert [rule.kind for rule in rules(others)] == ["links", "tools", "phrases", "injection"]
    assert rules(shape, **{"answer.json": "{}"})[0].kind == "schema"
    assert rules(example)[0] == FilterRule(name="pii", kind="personal_data", side="both", action="redact")


def test_filters_are_part_of_the_release_and_none_leaves_it_as_it_was() -> None:
    bare = HEAD.replace('filters = ["one"]\n', "")
    folder = Folder({"usecase.toml": bare.encode()})
    plain = releases(load(folder), folder)[0]
    texts = [HEAD + f'[filters.one]\nkind = "personal_data"\naction = "{action}"\n' for action in ("redact", "flag")]
    digests = {plain.digest}
    for text in texts:
        folder = Folder({"usecase.toml": text.encode()})
        digests.add(releases(load(folder), folder)[0].digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("table", "line", "says"),
    [
        ('kind = "personal"', 8, "filters.one.kind = 'personal' is not one of 'personal_data'"),
        ('side = "in"', 7, "'kind' is missing in [filters.one]"),
        ('kind = "personal_data"\naction = "delete"', 9, "is not one of 'block', 'redact' or 'flag'"),
        ('kind = "personal_data"\nfind = []', 9, "find is empty, so nothing would be looked for"),
        ('kind = "personal_data"\nfind = ["emails"]', 9, "'emails' is not one of"),
        ('kind = "personal_data"\nregions = ["Germany"]', 9, "two capital letters (ISO 3166)"),
        ('kind = "personal_data"\ndeadline = "100ms"', 9, "is not a duration"),
        ('kind = "personal_data"\ndeadline = 0', 9, "must be above 0"),
        ('kind = "phrases"', 7, "kind 'phrases' needs phrases, and it is empty"),
        ('kind = "phrases"\nphrases = []', 9, "needs phrases, and it is empty"),
        ('kind = "length"\nmost = -1', 9, "must be at least 0"),
        ('kind = "links"\nhosts = ["https://example.com/"]', 9, "write a host alone"),
        ('kind = "tools"\ntools = ["mail"]\narguments = { "find.to" = ["x"] }', 10, "write one of tools, a dot"),
        ('kind = "injection"\naction = "redact"', 9, "is nothing that kind 'injection' can do"),
        ('kind = "topics"\ntopics = ["..."]', 9, "without a letter or digit"),
        ('kind = "length"\nmost = 9\nhosts = ["a"]', 10, "hosts has no meaning for kind 'length'"),
        ('kind = "names"', 7, "kind 'names' needs model, and it is empty"),
        ('kind = "names"\nmodel = "/etc/models/en"', 9, "is no model of spaCy's; write its package"),
        ('kind = "schema"\nfile = "none.json"', 9, "the file 'none.json' is not there"),
        ('kind = "schema"\nfile = "*.json"', 9, "names one file; wildcards have no meaning here"),
        ('kind = "schema"\nside = "in"', 9, "is nothing that kind 'schema' can do; write 'out'"),
        ('kind = "links"\nrepair = false', 9, "repair has no meaning for kind 'links'"),
        ('kind = "personal_data"\nphrase = ["x"]', 9, "unknown key 'filters.one.phrase'"),
    ],
)
def test_faults_name_their_line_and_what_would_be_right(table: str, line: int, says: str) -> None:
    found = faults(HEAD + "[filters.one]\n" + table + "\n")
    assert any(fault.startswith(f"usecase.toml:{line}: ") and says in fault for fault in found), found


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="presidio-analyzer is installed")
def test_names_need_a_package_and_say_which() -> None:
    (found,) = faults(HEAD + '[filters.one]\nkind = "names"\nmodel = "en_core_web_lg"\n')
    assert found.startswith("usecase.toml:8: ")
    assert "install 'pilotage[presidio]' and the model" in found


def test_a_schemas_file_is_part_of_the_release_and_its_faults_are_told() -> None:
    text = HEAD + '[filters.one]\nkind = "schema"\nfile = "answer.json"\n'
    (rule,) = rules(text, **{"answer.json": '{"type": "object"}'})
    assert (rule.schema, rule.side, rule.action, rule.repair) == ('{"type": "object"}', "out", "block", True)
    folder = Folder({"usecase.toml": text.encode(), "answer.json": b"{}"})
    assert sorted(files(load(folder), folder)) == ["answer.json", "usecase.toml"]
    for wrong, says in (
        ("{", "answer.json:1: is not JSON"),
        ('{"type": "nope"}', "answer.json:1: is no JSON schema"),
        ('{"$ref": "b.json"}', "answer.json:1: refers to 'b.json'; refer to its own parts"),
    ):
        with pytest.raises(FaultyFile) as raised:
            rules(text, **{"answer.json": wrong})
        assert raised.value.faults[0].startswith(says)


def test_names_that_lead_nowhere_are_faults() -> None:
    assert any("names 'one', which is not under [filters]" in fault for fault in faults(HEAD))
    table = '[filters.one]\nkind = "personal_data"\n'
    assert any(
        "'ony'" in fault and "did you mean 'one'?" in fault
        for fault in faults(HEAD.replace('"one"', '"one", "ony"') + table)
    )
    assert any("names 'one' twice" in fault for fault in faults(HEAD.replace('"one"', '"one", "one"') + table))
    bare = HEAD.replace('filters = ["one"]\n', "")
    assert any("it protects nothing" in fault for fault in faults(bare + table))


def test_a_filter_is_registered_as_it_was_written_and_read_again() -> None:
    tables = {
        "name": "desk",
        "owner": "Ada",
        "filters": {"pii": {"kind": "personal_data"}, "short": {"kind": "length", "most": 200}},
        "variants": {"a": {"upstream": "openai", "model": "m", "filters": ["pii", "short"]}},
    }
    loaded = UseCase.model_validate(tables)
    assert UseCase.model_validate(loaded.model_dump(mode="json")) == loaded
