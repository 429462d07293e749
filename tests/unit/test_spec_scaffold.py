from pathlib import Path

import pytest

from pilotage.errors import Refused, WrongCall
from pilotage.spec import scaffold, snapshot
from pilotage.spec.case import read_cases
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.use_case import UseCase


def test_the_scaffold_is_faultless_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "My Desk"
    written = scaffold.write(directory)
    folder = Folder.read(directory)
    use_case = load(folder)
    assert (use_case.name, use_case.status_quo, use_case.candidate) == ("my-desk", "search", "assistant")
    assert [release.variant for release in snapshot.releases(use_case, folder)] == ["search", "assistant"]
    assert {str(path.relative_to(directory)) for path in written} == {*folder.files, "README.md"}
    assert "promote my-desk" in (directory / "README.md").read_text()


def test_it_shows_every_table(tmp_path: Path) -> None:
    scaffold.write(tmp_path / "desk")
    text = (tmp_path / "desk/usecase.toml").read_text()
    for key in UseCase.model_fields:
        assert f"\n{key} = " in text or f"[{key}" in text, key


def test_its_knowledge_answers_its_cases(tmp_path: Path) -> None:
    scaffold.write(tmp_path / "desk")
    articles = [" ".join(path.read_text().lower().split()) for path in (tmp_path / "desk/knowledge").iterdir()]
    cases, faults = read_cases((tmp_path / "desk/cases/quality.jsonl").read_bytes())
    assert (len(articles), len(cases), faults) == (5, 12, [])
    for _, case in cases:
        if case.scenario in ("scope", "security"):
            continue
        assert any(
            all(any(word.lower() in article for word in group) for group in case.required)
            and not any(word.lower() in article for word in case.forbidden)
            for article in articles
        ), case.id


def test_a_given_name_wins(tmp_path: Path) -> None:
    scaffold.write(tmp_path / "x", "night-desk")
    assert load(Folder.read(tmp_path / "x")).name == "night-desk"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    assert scaffold.write(tmp_path / "desk")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="not an empty folder"):
        scaffold.write(tmp_path, "desk")
    with pytest.raises(Refused, match="not an empty folder"):
        scaffold.write(tmp_path / "mine.txt", "desk")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["Desk", "1desk", "de sk", "x" * 64, 'a"\nb'])
def test_a_name_that_is_none_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongCall, match="is not a name"):
        scaffold.write(tmp_path / "x", name)
    assert not (tmp_path / "x").exists()


def test_a_directory_that_gives_no_name_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(WrongCall, match="is not a name"):
        scaffold.write(tmp_path / "2026")
    with pytest.raises(Refused, match="cannot be written"):
        scaffold.write(Path("/proc/nowhere/desk"))
