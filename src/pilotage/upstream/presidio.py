"""`python -m pilotage.upstream.presidio`: finds names of persons in texts. A question a line comes in, an answer a line goes out.

A worker begins it and ends it by closing its input. Nothing is downloaded: Presidio would fetch a model that is not there.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import msgspec

from pilotage.upstream.names import Found, Question

_SURE = 0.5
"""Presidio says 0.85 of whatever the model takes for a person, less for what it trusts less."""


class Unusable(Exception):
    """Why names cannot be looked for."""


def analyzer(model: str) -> Any:
    """Return Presidio's analyzer with one model of spaCy's; raise Unusable, saying what to install."""
    language = model[:2]
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer
    except ImportError as missing:
        raise Unusable(f"{missing.name} is not installed; install 'pilotage[presidio]'") from None
    if not spacy.util.is_package(model):
        raise Unusable(
            f"spaCy's model {model} is not installed; install its package, as with: python -m spacy download {model}"
        )
    engine = SpacyNlpEngine(
        models=[{"lang_code": language, "model_name": model}], ner_model_configuration=NerModelConfiguration()
    )
    engine.load()
    registry = RecognizerRegistry(
        recognizers=[SpacyRecognizer(supported_language=language, supported_entities=["PERSON"])],
        supported_languages=[language],
    )
    return AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=[language])


def names(analyzer: Any, language: str, texts: list[str], until: float) -> list[str]:
    """Return what the model takes for names of persons, as far as there is time."""
    found: dict[str, None] = {}
    for text in texts:
        if time.monotonic() > until:
            break
        for one in analyzer.analyze(text=text, language=language, entities=["PERSON"], score_threshold=_SURE):
            found[text[one.start : one.end]] = None
    return list(found)


def main() -> None:
    # Whatever a library prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    loaded: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=Question)
        if time.monotonic() > asked.until:
            continue
        try:
            if asked.model not in loaded:
                loaded[asked.model] = analyzer(asked.model)
            found = Found(asked.number, names(loaded[asked.model], asked.model[:2], asked.texts, asked.until))
        except Unusable as fault:
            found = Found(asked.number, fault=str(fault))
        except Exception as fault:  # noqa: BLE001 - whatever a model makes go wrong, the filter says what follows
            found = Found(asked.number, fault=f"Presidio failed ({type(fault).__name__})")
        answers.write(msgspec.json.encode(found) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
