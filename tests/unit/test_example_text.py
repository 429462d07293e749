"""The example's texts keep what their README promises: labels that can be checked, no near-copies, a clean split."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).resolve().parents[2] / "examples" / "support"
PARTS = {
    "quality": "cases/quality.jsonl",
    "live": "questions/live.jsonl",
    "held_out": "questions/held_out.jsonl",
}
KINDS = {"short", "plain", "long", "misspelt", "angry", "several", "off-topic", "personal-data"}
OFF_TOPIC = "off-topic"
SCOPE = "what-we-help-with"
CANARY = "PILOT-CANARY-7731"
NGRAM = 5
MAX_SIMILARITY = 0.8
MAX_OPENING_SHARE = 0.02

Row = dict[str, Any]


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().lower()


def read_rows(name: str) -> list[Row]:
    lines = (SUPPORT / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@cache
def articles() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((SUPPORT / "knowledge").glob("*.md"))}


@cache
def flat_articles() -> dict[str, str]:
    return {name: flat(text) for name, text in articles().items()}


@cache
def facts() -> dict[str, Row]:
    return {row["scenario"]: row for row in read_rows("facts.jsonl")}


@cache
def parts() -> dict[str, list[Row]]:
    return {part: read_rows(name) for part, name in PARTS.items()}


@cache
def questions() -> list[Row]:
    return [row for rows in parts().values() for row in rows]


@cache
def safety() -> list[Row]:
    return read_rows("cases/safety.jsonl")


def article_of(scenario: str) -> str:
    return SCOPE if scenario == OFF_TOPIC else scenario


def meets(text: str, groups: list[list[str]]) -> bool:
    return all(any(flat(alternative) in text for alternative in group) for group in groups)


def grams(text: str) -> frozenset[str]:
    text = flat(text)
    return frozenset(text[start : start + NGRAM] for start in range(max(1, len(text) - NGRAM + 1)))


def near_copies(texts: list[str], limit: float) -> list[tuple[str, str]]:
    """All pairs whose sets of n-grams have a Jaccard similarity above the limit.

    Two such sets must share one of the first `size - ceil(limit * size) + 1` grams in any fixed order, so only those
    are indexed, the rarest first; sizes too far apart are skipped.
    """
    sets = [grams(text) for text in texts]
    frequency = Counter(gram for one in sets for gram in one)
    index: dict[str, list[int]] = {}
    found: list[tuple[str, str]] = []
    for here in sorted(range(len(texts)), key=lambda number: len(sets[number])):
        mine = sets[here]
        ordered = sorted(mine, key=lambda gram: (frequency[gram], gram))
        prefix = ordered[: len(mine) - int(limit * len(mine)) + 1]
        candidates = {there for gram in prefix for there in index.get(gram, ())}
        for there in candidates:
            theirs = sets[there]
            if len(theirs) < limit * len(mine):
                continue
            shared = len(mine & theirs)
            if shared > limit * (len(mine) + len(theirs) - shared):
                found.append((texts[there], texts[here]))
        for gram in prefix:
            index.setdefault(gram, []).append(here)
    return found


def test_near_copies_are_found() -> None:
    text = "How long do I have to return a jacket that I have never worn outside?"
    texts = [text, text.replace("?", "!"), "Where is the key to the locker at the railway station?"]
    (pair,) = near_copies(texts, MAX_SIMILARITY)
    assert set(pair) == set(texts[:2])


def test_there_are_enough_articles_and_questions() -> None:
    assert len(articles()) >= 60
    assert len(questions()) >= 1200
    sizes = {part: len(rows) for part, rows in parts().items()}
    assert sizes["quality"] >= 280
    assert sizes["live"] >= 680
    assert sizes["held_out"] >= 220


def test_articles_have_a_title_and_a_readable_length() -> None:
    for name, text in articles().items():
        title, _, body = text.partition("\n")
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), name
        assert re.fullmatch(r"# \S.*", title), name
        paragraphs = [paragraph for paragraph in body.split("\n\n") if paragraph.strip()]
        assert 3 <= len(paragraphs) <= 6, name
        assert 80 <= len(body.split()) <= 180, name
    titles = [text.partition("\n")[0] for text in articles().values()]
    assert len(set(titles)) == len(titles)


def test_each_scenario_has_facts_and_questions() -> None:
    assert set(facts()) == {*articles(), OFF_TOPIC}
    assert len(read_rows("facts.jsonl")) == len(facts())
    counts = Counter(row["scenario"] for row in questions())
    assert set(counts) == set(facts())
    assert all(count >= 18 for count in counts.values()), counts


def test_required_facts_stand_in_their_own_article_and_in_no_other() -> None:
    for scenario, row in facts().items():
        own = article_of(scenario)
        text = re.sub(r"\s+", " ", articles()[own])
        assert 1 <= len(row["required"]) <= 2, scenario
        if scenario != OFF_TOPIC:
            for group in row["required"]:
                assert group[0] in text, (scenario, group[0])
        assert meets(flat_articles()[own], row["required"]), scenario
        others = [name for name, other in flat_articles().items() if name != own and meets(other, row["required"])]
        assert others == [], scenario


def test_forbidden_facts_stand_in_another_article_and_not_in_their_own() -> None:
    for scenario, row in facts().items():
        own = article_of(scenario)
        assert 2 <= len(row["forbidden"]) <= 5, scenario
        for fact in row["forbidden"]:
            assert flat(fact) not in flat_articles()[own], (scenario, fact)
            assert any(flat(fact) in text for text in flat_articles().values()), (scenario, fact)
            alternatives = [alternative for group in row["required"] for alternative in group]
            assert not any(flat(fact) in flat(alternative) for alternative in alternatives), (scenario, fact)


def test_off_topic_questions_get_the_sentence_of_the_scope_article() -> None:
    (group,) = facts()[OFF_TOPIC]["required"]
    assert group[0] in articles()[SCOPE]


def test_questions_have_the_shape_and_labels_of_their_scenario() -> None:
    for row in questions():
        several = row["kind"] == "several"
        assert set(row) - {"also"} == {"id", "text", "scenario", "kind", "required", "forbidden"}, row["id"]
        assert row["kind"] in KINDS, row["id"]
        assert ("also" in row) is several, row["id"]
        assert (row["kind"] == OFF_TOPIC) is (row["scenario"] == OFF_TOPIC), row["id"]
        scenarios = [row["scenario"], *row.get("also", [])]
        assert len(set(scenarios)) == (2 if several else 1), row["id"]
        assert row["required"] == [group for name in scenarios for group in facts()[name]["required"]], row["id"]
        labelled = dict.fromkeys(fact for name in scenarios for fact in facts()[name]["forbidden"])
        own = [flat_articles()[article_of(name)] for name in scenarios]
        expected = [fact for fact in labelled if not any(flat(fact) in text for text in own)]
        assert row["forbidden"] == expected, row["id"]
        assert row["forbidden"], row["id"]
        assert not any(flat(fact) in flat(row["text"]) for fact in row["forbidden"]), row["id"]


@pytest.mark.parametrize("part", PARTS)
def test_every_kind_is_in_every_part(part: str) -> None:
    assert {row["kind"] for row in parts()[part]} == KINDS


def test_no_id_and_no_text_occurs_twice() -> None:
    rows = [*questions(), *safety()]
    ids = Counter(row["id"] for row in rows)
    texts = Counter(flat(row["text"]) for row in rows)
    assert [name for name, count in ids.items() if count > 1] == []
    assert [text for text, count in texts.items() if count > 1] == []


def test_no_two_texts_are_near_copies() -> None:
    assert near_copies([row["text"] for row in [*questions(), *safety()]], MAX_SIMILARITY) == []


def test_no_opening_is_a_habit() -> None:
    openings = Counter(" ".join(re.findall(r"[\w']+", row["text"].lower())[:3]) for row in questions())
    limit = MAX_OPENING_SHARE * len(questions())
    assert {opening: count for opening, count in openings.items() if count > limit} == {}


def test_the_parts_share_no_scenario_but_off_topic() -> None:
    asked = {
        part: {name for row in rows for name in [row["scenario"], *row.get("also", [])]}
        for part, rows in parts().items()
    }
    assert asked["quality"] & asked["live"] == {OFF_TOPIC}
    assert asked["quality"] & asked["held_out"] == {OFF_TOPIC}
    assert asked["live"] & asked["held_out"] == {OFF_TOPIC}


def test_addresses_are_in_domains_for_examples() -> None:
    texts = [*articles().values(), *(json.dumps(row) for row in [*questions(), *safety()])]
    domains = {domain for text in texts for domain in re.findall(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", text)}
    assert domains <= {"example.com", "example.org", "example.net"}


def test_safety_cases_name_what_must_not_show_up() -> None:
    assert Counter(row["kind"] for row in safety()) == {"security": 20, "privacy": 20}
    for row in safety():
        assert set(row) == {"id", "text", "scenario", "kind", "required", "forbidden"}, row["id"]
        assert row["scenario"] == OFF_TOPIC, row["id"]
        assert row["required"] == [], row["id"]
        assert row["forbidden"], row["id"]
        if row["kind"] == "security":
            assert {CANARY, "<script", "!["} <= set(row["forbidden"]), row["id"]
        else:
            assert not any(flat(item) in flat(row["text"]) for item in row["forbidden"]), row["id"]


def test_the_readme_counts_are_true() -> None:
    readme = (SUPPORT / "README.md").read_text(encoding="utf-8")
    for kind in sorted(KINDS):
        counts = [sum(row["kind"] == kind for row in rows) for rows in parts().values()]
        assert f"| `{kind}` | {' | '.join(map(str, counts))} | {sum(counts)} |" in readme
    sizes = [len(rows) for rows in parts().values()]
    assert f"| All | {' | '.join(map(str, sizes))} | {sum(sizes):,} |" in readme
    assert f"the first line is the title | {len(articles())} |" in readme
