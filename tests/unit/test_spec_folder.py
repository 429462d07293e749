import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import FaultyFile
from pilotage.spec import folder as room
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.pattern import matching, path_fault

TOML = b"""
name = "a"
owner = "b"
[variants.search]
upstream = "search"
knowledge = ["knowledge/**/*.md"]
"""


def write(root: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = root / name.replace("__", "/").replace("_md", ".md").replace("_toml", ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def faults(directory: Path) -> str:
    with pytest.raises(FaultyFile) as caught:
        load(Folder.read(directory))
    return "\n".join(caught.value.faults)


def test_only_what_the_file_names_is_read(tmp_path: Path) -> None:
    write(tmp_path, usecase_toml=TOML, knowledge__a_md=b"a", knowledge__deep__er__b_md=b"b", secret_md=b"no")
    assert set(Folder.read(tmp_path).files) == {"usecase.toml", "knowledge/a.md", "knowledge/deep/er/b.md"}


def test_a_folder_named_without_wildcards_means_every_file_below_it(tmp_path: Path) -> None:
    write(tmp_path, usecase_toml=TOML.replace(b"/**/*.md", b"/"), knowledge__a_md=b"a", knowledge__x__b_md=b"b")
    folder = Folder.read(tmp_path)
    assert folder.match("knowledge") == ["knowledge/a.md", "knowledge/x/b.md"]
    load(folder)


@pytest.mark.parametrize(
    "path", ["../outside.md", "/etc/passwd", "~/x", "a/../../x", "c:/x", "a\\b", "", "  ", ".", "a\nb"]
)
def test_paths_that_leave_the_folder_are_faults(tmp_path: Path, path: str) -> None:
    (tmp_path / "outside.md").write_bytes(b"outside")
    inside = write(tmp_path / "in", usecase_toml=b"")
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
    (inside / "usecase.toml").write_bytes(TOML.replace(b"knowledge/**/*.md", escaped.encode()))
    said = faults(inside)
    assert said.startswith("usecase.toml:6: variants.search.knowledge[1]: the path ")
    assert set(Folder.read(inside).files) == {"usecase.toml"}


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    inside = write(tmp_path / "in", usecase_toml=TOML, knowledge__a_md=b"a")
    write(tmp_path, outside__secret_md=b"secret")
    (inside / "knowledge/link.md").symlink_to(tmp_path / "outside/secret.md")
    (inside / "knowledge/dir").symlink_to(tmp_path / "outside")
    (inside / "knowledge/loop.md").symlink_to("loop.md")
    folder = Folder.read(inside)
    assert set(folder.files) == {"usecase.toml", "knowledge/a.md"}
    said = faults(inside)
    assert "usecase.toml:6: variants.search.knowledge[1]: the file 'knowledge/link.md' is a link that leaves" in said
    assert "'knowledge/loop.md' cannot be read" in said


def test_a_folder_behind_a_link_out_is_not_entered(tmp_path: Path) -> None:
    inside = write(tmp_path / "in", usecase_toml=TOML.replace(b"knowledge/**", b"dir/**"))
    write(tmp_path, outside__secret_md=b"secret")
    (inside / "dir").symlink_to(tmp_path / "outside")
    assert set(Folder.read(inside).files) == {"usecase.toml"}
    assert "'dir/**/*.md' matches nothing" in faults(inside)


def test_a_link_within_the_folder_is_a_file_like_any_other(tmp_path: Path) -> None:
    write(tmp_path, usecase_toml=TOML, store__a_md=b"a", knowledge__b_md=b"b")
    (tmp_path / "knowledge/a.md").symlink_to("../store/a.md")
    assert Folder.read(tmp_path).files["knowledge/a.md"] == b"a"


def test_a_pipe_does_not_hold_the_reader(tmp_path: Path) -> None:
    write(tmp_path, usecase_toml=TOML, knowledge__a_md=b"a")
    os.mkfifo(tmp_path / "knowledge/pipe.md")
    assert "'knowledge/pipe.md' cannot be read: not a file" in faults(tmp_path)


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FILE_LIMIT", 1_000)
    monkeypatch.setattr(room, "TOTAL_LIMIT", 1_500)
    write(
        tmp_path,
        usecase_toml=TOML,
        knowledge__a_md=b"a" * 1_001,
        knowledge__b_md=b"b" * 900,
        knowledge__c_md=b"c" * 900,
    )
    said = faults(tmp_path)
    assert "'knowledge/a.md' is larger than" in said
    assert "'knowledge/c.md' would bring the folder above" in said
    assert set(Folder.read(tmp_path).files) == {"usecase.toml", "knowledge/b.md"}


def test_sent_files_are_held_to_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FILE_LIMIT", 1_000)
    monkeypatch.setattr(room, "TOTAL_LIMIT", 1_500)
    with pytest.raises(FaultyFile) as caught:
        Folder({"../x": b"", "/y": b"", "a/b": b"", "./a//b": b"", "big": b"x" * 1_001, "big2": b"x" * 999})
    assert len(caught.value.faults) == 5
    assert "given twice" in "".join(caught.value.faults)


def test_a_missing_folder_and_a_missing_file_say_what_to_do(tmp_path: Path) -> None:
    assert "pilotage init" in faults(tmp_path / "nowhere")
    assert "is not there" in faults(tmp_path)
    write(tmp_path, usecase_toml=b"x" * ((1 << 20) + 1))
    assert "larger than 1 MB" in faults(tmp_path)


def test_a_file_name_that_cannot_be_shown_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, usecase_toml=TOML, knowledge__a_md=b"a")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/knowledge/\xff\x1b.md")).write_bytes(b"x")
    said = faults(tmp_path)
    assert "holds a character that cannot be printed" in said
    assert said.isprintable()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.md", ["a.md"]),
        ("x/*.md", ["x/b.md"]),
        ("./x//*.md", ["x/b.md"]),
        ("**/*.md", ["a.md", "x/b.md", "x/y/c.md"]),
        ("x/**", ["x/b.md", "x/y/c.md", "x/y/e.txt"]),
        ("x/.h/*", ["x/.h/d.md"]),
        ("x", ["x/b.md", "x/y/c.md", "x/y/e.txt"]),
        ("x/y/[ce].*", ["x/y/c.md", "x/y/e.txt"]),
        ("x/?/c.md", ["x/y/c.md"]),
        ("*", ["a.md"]),
        ("X/*.md", []),
        ("**/y/**/c.md", ["x/y/c.md"]),
        (".*", [".hidden"]),
    ],
)
def test_patterns(pattern: str, found: list[str]) -> None:
    paths = ["a.md", "x/b.md", "x/y/c.md", "x/y/e.txt", ".hidden", "x/.h/d.md"]
    assert matching(pattern, paths) == found


def test_a_hostile_pattern_costs_little() -> None:
    paths = ["/".join(["a" * 200] * 4)]
    assert matching("/".join(["*a" * 60 + "b"] * 4), paths) == []
    assert matching("**/" * 200 + "b", paths) == []


@given(st.text(), st.lists(st.text(min_size=1)))
def test_any_pattern_matches_only_paths_that_are_there(pattern: str, paths: list[str]) -> None:
    assert set(matching(pattern, paths)) <= set(paths)
    assert isinstance(path_fault(pattern), str)
