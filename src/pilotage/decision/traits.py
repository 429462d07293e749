"""What can be told of one answered request without anybody's judgement: how long, in which language, refused, filtered.

A trait is a number (a length, a price), something that is so or not, or one of several kinds. Those of the figures
are known of every request; those of the texts where texts are kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NUMBERS = {
    "question_tokens": "{} questions (in tokens)",
    "reply_tokens": "{} replies (in tokens)",
    "cost": "requests that cost {1}",
    "duration": "{} times to answer",
    "question_length": "{} questions (in characters)",
    "reply_length": "{} replies (in characters)",
    "unfamiliar": "questions with {1} unfamiliar words",
}
FACTS = {
    "tools": "replies that call a tool",
    "cut": "replies cut off at their longest",
    "filtered_in": "questions that a filter objected to",
    "filtered_out": "replies that a filter objected to",
    "refused": "replies that refuse",
    "json": "replies that are valid JSON",
    "novel": "questions unlike any before",
}
KINDS = {"language": "questions in", "reply_language": "replies in", "topic": "questions of topic"}

_TOOLS = ("tool_calls", "tool_use", "function_call")
_CUT = ("length", "max_tokens", "max_output_tokens")
_REFUSED = ("content_filter", "refusal")
_BEGINNING = 240
_REFUSAL = re.compile(
    r"\b(?:i(?:['\u2019]m| am) (?:sorry|unable|not able|afraid)|i (?:can(?:no|['\u2019])t|won['\u2019]t|am not allowed)"
    r"|unable to (?:help|assist)|can(?:no|['\u2019])t (?:help|assist) with"
    r"|tut mir leid|kann ich (?:leider )?nicht|je (?:suis d\u00e9sol\u00e9|ne peux pas)|lo siento|no puedo"
    r"|mi dispiace|non posso|sinto muito|n\u00e3o posso|het spijt me)\b",
    re.IGNORECASE,
)
_SCRIPTS = (
    ("Greek", 0x370, 0x3FF),
    ("Cyrillic", 0x400, 0x52F),
    ("Hebrew", 0x590, 0x5FF),
    ("Arabic", 0x600, 0x77F),
    ("Devanagari", 0x900, 0x97F),
    ("Thai", 0xE00, 0xE7F),
    ("Japanese", 0x3040, 0x30FF),
    ("Chinese", 0x4E00, 0x9FFF),
    ("Korean", 0xAC00, 0xD7AF),
)
_SMALL_WORDS = {
    "English": "the is my i to a and of you it what how do can have not was for on in this that with me are",
    "German": "der die das ist ich und nicht ein eine wie mein meine kann was zu auf mit es wir sie f\u00fcr habe wo",
    "French": "le la les est je et pas un une comment mon ma que des pour vous dans ce qui \u00e0 du sur puis",
    "Spanish": "el los es yo y no una c\u00f3mo mi que de para en puedo por lo con se qu\u00e9 las est\u00e1 un",
    "Italian": "il gli \u00e8 io e non una come mio che di per posso con si cosa le sono ho della un",
    "Portuguese": "o os \u00e9 eu e n\u00e3o uma como meu que de para em posso por com se as est\u00e1 um do da",
    "Dutch": "de het is ik en niet een hoe mijn wat van te voor kan met op dat er aan heb",
}
_LANGUAGES = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
_TURN = re.compile(r"(?:\A|\n\n)(system|developer|user|assistant): ")
_WORD = re.compile(r"[^\W\d_]+")
_LOOKED_AT = 400
_UNCLEAR = "an unclear language"


class Traits(msgspec.Struct, frozen=True):
    """One request's. What is not known of it is not in any of the three."""

    numbers: dict[str, float] = {}
    facts: dict[str, bool] = {}
    kinds: dict[str, str] = {}


def of_figures(row: Mapping[str, Any], hits: Sequence[Mapping[str, Any]], *, timed: bool = True) -> Traits:
    """Return what the gateway's own figures tell. `row` has the columns of a finished event."""
    numbers = {"duration": float(row["duration"])} if timed else {}
    if row["counted"]:
        numbers |= {"question_tokens": float(row["input_tokens"]), "reply_tokens": float(row["output_tokens"])}
    if row["cost"]:
        numbers["cost"] = float(row["cost"])
    sides = {hit.get("side") for hit in hits}
    facts = {"filtered_in": "in" in sides, "filtered_out": "out" in sides}
    if row["finish_reason"]:
        facts |= {"tools": row["finish_reason"] in _TOOLS, "cut": row["finish_reason"] in _CUT}
    return Traits(numbers, facts)


def of_texts(question: str, reply: str, finish_reason: str) -> Traits:
    """Return what the texts tell but for what takes a reference (`unfamiliar`, `novel`, `topic`)."""
    numbers, facts, kinds = {"question_length": float(len(question))}, {}, {"language": language(question)}
    if reply:
        numbers["reply_length"] = float(len(reply))
        facts = {
            "refused": finish_reason in _REFUSED or _REFUSAL.search(reply[:_BEGINNING]) is not None,
            "json": is_json(reply),
        }
        kinds["reply_language"] = language(reply)
    return Traits(numbers, facts, kinds)


def language(text: str) -> str:
    """Return the language as far as small words tell, else the script; a guess, and the same one for the same text."""
    start = text[:_LOOKED_AT]
    for script, low, high in _SCRIPTS:
        letters = sum(low <= ord(letter) <= high for letter in start)
        if 3 * letters >= max(1, sum(map(str.isalpha, start))):
            return script
    words = _WORD.findall(start.lower())
    found = {name: sum(word in small for word in words) for name, small in _LANGUAGES.items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] else _UNCLEAR


def is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def turns_of(transcript: str) -> list[tuple[str, str]]:
    """Return (role, text) of each turn of `role: text` paragraphs; what names no role is one turn of the user's."""
    before, *parts = _TURN.split(transcript)
    turns = list(zip(parts[::2], parts[1::2], strict=True))
    return [("user", before), *turns] if before.strip() else turns


def asked_as_case(turns: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return what a case asks of turns (`role`, `text`) up to the user's last: one question, or a conversation; {} where nobody asked.

    What the operator said first is the variant's prompt, which a case does not hold.
    """
    talk = [turn for turn in turns if turn["role"] not in ("system", "developer") and turn["text"].strip()]
    while talk and talk[-1]["role"] != "user":
        talk.pop()
    if len(talk) < 2:
        return {"text": talk[0]["text"]} if talk else {}
    return {"messages": [{"role": turn["role"], "content": turn["text"]} for turn in talk]}


def question_of(transcript: str) -> str:
    """Return the last thing that the user said, of `role: text` paragraphs."""
    before, said, last = transcript.rpartition("\n\nuser: ")
    if said:
        return last
    return before or last.removeprefix("user: ")
