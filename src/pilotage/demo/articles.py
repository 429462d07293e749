"""The articles that the stand-in knows: whatever Markdown is in a knowledge folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

ASKED = "asked"
"""A folder of this name within the knowledge folder holds past questions, a line each, by their article's file name.
They help to find the article, and are never part of an answer."""
_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”]))\s+(?=[A-Z0-9\"'“(])")
_BLOCK = re.compile(r"\n\s*\n|\n(?=[-*#] )")


class Article(msgspec.Struct, frozen=True):
    """One file: its title, the sentences of its body in order, and past questions that it answered."""

    name: str
    title: str
    sentences: tuple[str, ...]
    asked: tuple[str, ...] = ()


def read_articles(folder: Path) -> list[Article]:
    """Read every `*.md` under `folder`, by name; raise ValueError where there is none."""
    asked = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in (folder / ASKED).glob("*.md")}
    articles = []
    for path in sorted(folder.rglob("*.md")):
        if path.parent == folder / ASKED:
            continue
        title, body = _parse(path.read_text(encoding="utf-8"))
        questions = tuple(line.strip() for line in asked.get(path.stem, ()) if line.strip())
        if body:
            articles.append(Article(path.stem, title or path.stem.replace("-", " "), tuple(body), questions))
    if not articles:
        msg = f"no articles (*.md) in {folder}"
        raise ValueError(msg)
    return articles


def _parse(text: str) -> tuple[str, list[str]]:
    """Return (title, sentences); the first heading is the title, later ones are sentences of their own."""
    title, body = "", []
    for block in _BLOCK.split(text):
        head, _, rest = block.strip().partition("\n")
        if head.startswith("# ") and not title:
            title, block = head[2:].strip(), rest  # noqa: PLW2901 - a heading may be followed by text at once
        plain = " ".join(block.split()).lstrip("-*# ")
        body += [sentence for sentence in _SENTENCE.split(plain) if sentence]
    return title, body
