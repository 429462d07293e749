"""Arrivals by the documented profile or a trace, and use cases out of any file of questions."""

from __future__ import annotations

import csv
import json
import os
import re
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from pilotage.clock import DAY, HOUR
from pilotage.demo.arrivals import PROFILE, by_hour, by_trace
from pilotage.demo.customers import CONVERSION, HANDOVER
from pilotage.demo.questions import build, read_questions
from pilotage.demo.setting import Folder, Provider, example_folder
from pilotage.errors import FaultyFile
from pilotage.spec import folder as spec_folder
from pilotage.spec.load import load

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("PILOTAGE_TEST_DATA", "")) / "text" / "banking77_train.csv"


def test_the_profile_is_the_one_in_the_document() -> None:
    text = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    table = {int(hour): int(weight) for hour, weight in re.findall(r"^\| (\d\d):00 \| (\d+) \|", text, re.MULTILINE)}
    assert table == dict(enumerate(PROFILE))


def test_the_chances_are_those_in_the_document() -> None:
    text = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    for chance in (*HANDOVER.values(), *CONVERSION.values()):
        assert f"{chance * 100:.0f} %" in text


def test_customers_come_by_the_hours_of_the_day() -> None:
    start = 1_790_000_000_000_000
    days = 20
    arrivals = list(islice(by_hour(start, 3000, np.random.default_rng(1)), 3000 * days))
    assert all(earlier <= later for earlier, later in pairwise(arrivals))
    assert (arrivals[-1] - start) / DAY == pytest.approx(days, rel=0.02)
    hours = np.bincount([at % DAY // HOUR for at in arrivals], minlength=24) / len(arrivals)
    assert hours == pytest.approx(np.array(PROFILE) / sum(PROFILE), abs=0.004)


def test_a_trace_keeps_its_rhythm_at_another_scale_and_goes_on() -> None:
    times = [100, 101, 102, 103, 200]  # four at once, a lull, one more
    arrivals = list(islice(by_trace(5_000, times, 1_000, 10), 20))
    assert arrivals[0] >= 5_000
    assert sum(at < 5_100 for at in arrivals[:10]) >= 6
    assert arrivals[10:] == [at + 1_000 for at in arrivals[:10]]


def test_a_trace_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="two arrivals"):
        next(by_trace(0, [5, 5], 100, 3))


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *rows])
    return path


def rows(categories: int, each: int) -> list[tuple[str, str]]:
    return [(f"Wort{c} frage {c}-{n} wie?", f"Sache {c}/ä") for c in range(categories) for n in range(each)]


def test_questions_are_split_and_each_category_gets_a_reference_of_its_own(tmp_path: Path) -> None:
    source = write(tmp_path / "questions.csv", rows(4, 30))
    build(source, tmp_path / "case", example_folder())
    parts = {}
    for name in ("cases/quality", "questions/live", "questions/held_out"):
        lines = (tmp_path / "case" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        parts[name] = [json.loads(line) for line in lines]
    asked = [line["text"] for part in parts.values() for line in part]
    assert len(asked) == len(set(asked))
    for line in parts["questions/live"]:
        assert line["required"][0][0] not in line["forbidden"]
        assert len(line["forbidden"]) == 3
    articles = [path.read_text(encoding="utf-8") for path in (tmp_path / "case" / "knowledge").rglob("*.md")]
    assert not any(text in article for article in articles for text in asked)
    found = load(spec_folder.Folder.read(tmp_path / "case"))
    assert found.status_quo == "faq"


def test_the_same_file_gives_the_same_folder(tmp_path: Path) -> None:
    source = write(tmp_path / "questions.csv", rows(3, 12))
    for name in ("one", "two"):
        build(source, tmp_path / name, example_folder())
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two


@pytest.mark.parametrize("text", ["question,label\na,b\n", "text,category\n", "text,category\nonly one,a\n", "\xff"])
def test_a_file_that_is_no_file_of_questions_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "questions.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(FaultyFile):
        read_questions(tmp_path / "questions.csv")


@pytest.mark.skipif(not DATA.is_file(), reason="PILOTAGE_TEST_DATA names no folder with text/banking77_train.csv")
def test_real_questions_make_a_use_case_without_a_fault(tmp_path: Path) -> None:
    build(DATA, tmp_path / "case", example_folder())
    assert load(spec_folder.Folder.read(tmp_path / "case")).name == "questions"
    assert len(list((tmp_path / "case" / "knowledge").glob("*.md"))) == 77


def test_the_demos_edits_of_the_example_give_files_without_a_fault(tmp_path: Path) -> None:
    folder, _ = Folder.make(tmp_path / "case", None)
    folder.serve_at("http://127.0.0.1:1234/v1")
    folder.nominate_bold()
    folder.loosen_gate()
    found = load(spec_folder.Folder.read(tmp_path / "case"))
    assert (found.name, found.candidate) == (folder.name, "assistant-bold")
    assert found.upstreams["stand_in"].base_url == "http://127.0.0.1:1234/v1"
    assert found.gates.staging["quality_difference"].at_least == -1


def test_a_real_provider_gets_the_articles_in_its_prompt_and_the_bold_one_gets_none(tmp_path: Path) -> None:
    folder, _ = Folder.make(tmp_path / "case", None)
    folder.use(Provider("https://models.example/v1", "small-model", "OPENAI_API_KEY"))
    found = load(spec_folder.Folder.read(tmp_path / "case"))
    good, bold = found.variants["assistant"], found.variants["assistant-bold"]
    assert (good.model, bold.model) == ("small-model", "small-model")
    assert found.upstreams["stand_in"].api_key_env == "OPENAI_API_KEY"
    prompts = [(tmp_path / "case" / variant.prompt).read_text(encoding="utf-8") for variant in (good, bold)]
    assert ["RW-12" in prompt for prompt in prompts] == [True, False]
