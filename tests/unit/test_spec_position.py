import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.spec.position import TOO_DEEP, Positions

TEXT = '''\
# a comment with [brackets] and = signs
name = "support"
"quoted key" = 'x'
a.b."c.d" = 1

[goals.resolved]   # comment
today = 0.5
note = """
[not.a.table]
fake = 1 \\""" still
""" # the end
raw = \'\'\'
"x" = 1
\'\'\'
after = 1
list = [ 1, # one ]
  [ 2,
    3 ],

  { k = 4, l.m = "}" },
]
inline = { p = { q = 1 }, r = [
  5] }
when = 1979-05-27 07:32:00
[[steps]]
share = 1
[[steps]]
share = 5
[steps.inner]
x = 1
[[steps.more]]
y = 1
[[steps.more]]
y = 2
'''
LINES = [
    (("name",), 2),
    (("quoted key",), 3),
    (("a",), 4),
    (("a", "b", "c.d"), 4),
    (("goals",), 6),
    (("goals", "resolved"), 6),
    (("goals", "resolved", "today"), 7),
    (("goals", "resolved", "note"), 8),
    (("goals", "resolved", "raw"), 12),
    (("goals", "resolved", "after"), 15),
    (("goals", "resolved", "list", 0), 16),
    (("goals", "resolved", "list", 1), 17),
    (("goals", "resolved", "list", 1, 1), 18),
    (("goals", "resolved", "list", 2), 20),
    (("goals", "resolved", "list", 2, "l", "m"), 20),
    (("goals", "resolved", "inline", "p", "q"), 22),
    (("goals", "resolved", "inline", "r", 0), 23),
    (("goals", "resolved", "when"), 24),
    (("steps", 0), 25),
    (("steps", 0, "share"), 26),
    (("steps", 1, "share"), 28),
    (("steps", 1, "inner", "x"), 30),
    (("steps", 1, "more", 0, "y"), 32),
    (("steps", 1, "more", 1, "y"), 34),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_every_way_to_write_a_key(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert Positions(TEXT).line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("nowhere",), 1),
        (("goals", "resolved", "margin"), 6),
        (("goals", "other"), 6),
        (("steps", 1, "demands", 3), 27),
    ],
)
def test_what_is_not_there_is_at_the_nearest_thing_around_it(path: tuple[str | int, ...], line: int) -> None:
    assert Positions(TEXT).line(path) == line


def test_windows_line_ends_count_once() -> None:
    assert Positions("a = 1\r\nb = [\r\n1,\r\n2]\r\nc = 1\r\n").line(("c",)) == 5


def test_a_broken_line_does_not_hide_the_next() -> None:
    assert Positions('a = "x\n= 3\n[b\nc = 1').line(("b", "c")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * (TOO_DEEP + 1),
        "\na" + ".a" * TOO_DEEP + " = 1",
        "[a" + ".a" * TOO_DEEP + "]",
        "a = " + "{ a = " * TOO_DEEP + "1" + " }" * TOO_DEEP,
        "a = " + "[" * 500_000,
    ],
)
def test_nesting_is_bounded(text: str) -> None:
    assert Positions(text).too_deep == 1 + text.startswith("\n")


def test_nesting_below_the_bound_is_read() -> None:
    depth = TOO_DEEP - 2
    assert Positions("a = " + "[" * depth + "]" * depth).too_deep == 0


@given(st.text(alphabet=st.sampled_from(list("ab01.=[]{},\"'\\#\n \t_-"))) | st.text())
def test_any_text_is_scanned(text: str) -> None:
    positions = Positions(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in positions._lines.values())


@st.composite
def _documents(draw: st.DrawFn) -> str:
    """Draw TOML in which every key is a name of its own, so that its line can be found by searching for it."""
    names = iter(f"k{number}" for number in range(10_000))

    def key() -> str:
        parts = draw(st.integers(1, 3))
        quotes = draw(st.lists(st.sampled_from(["", '"', "'"]), min_size=parts, max_size=parts))
        return draw(st.sampled_from([".", " . "])).join(f"{quote}{next(names)}{quote}" for quote in quotes)

    def value(depth: int) -> str:
        plain = ["1", "-3.5", "true", "1979-05-27", '"[x]"', "'#'", '"\\""', '"""\n] = "x" }\n"""', "'''\n'\n''''"]
        kind = draw(st.sampled_from([*plain, "list", "table"] if depth < 3 else plain))
        if kind == "list":
            gap = draw(st.sampled_from(["", " ", "\n", " # ]\n"]))
            items = [gap + value(depth + 1) + gap for _ in range(draw(st.integers(0, 3)))]
            return "[" + ",".join(items) + gap + "]"
        if kind == "table":
            return "{ " + ", ".join(f"{key()} = {value(depth + 1)}" for _ in range(draw(st.integers(0, 3)))) + " }"
        return kind

    lines = []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "[", "[[", "#"]))
        if kind == "pair":
            lines.append(f"{key()} = {value(0)}")
        else:
            lines.append("# [c] = '" if kind == "#" else f"{kind}{key()}{']' * len(kind)}")
    return "\n".join(lines)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [inner for key, item in items for inner in ((*path, key), *_paths(item, (*path, key)))]


@given(_documents())
def test_every_key_of_a_valid_text_is_found_on_its_line(text: str) -> None:
    positions = Positions(text)
    lines = text.split("\n")
    for path in _paths(tomllib.loads(text)):
        assert path in positions._lines
        if isinstance(path[-1], str):
            assert path[-1] in lines[positions.line(path) - 1]
