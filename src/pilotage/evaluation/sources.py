"""What a reply says of the sources that were retrieved for it, in the forms that providers and pipelines use."""

from __future__ import annotations

from typing import Any

MOST = 100
"""Sources that are read of one reply."""
_LONGEST = 500
_NAMES = ("url", "title", "filename", "file_id", "filepath", "id", "source")


def sources_of(citations: Any, annotations: Any) -> tuple[tuple[str, ...], ...] | None:
    """Return the names of each source, in the order given and each once; None where the reply says nothing of any.

    `citations` stands beside `choices`: texts, or objects with a name among `url`, `title`, `filename`, `file_id`, `filepath`, `id` and
    `source`. `annotations` are those of OpenAI's messages (`url_citation`, `file_citation`). An empty list says that nothing was found.
    What has neither form is passed over, for it comes from elsewhere.
    """
    if isinstance(citations, list):
        found = [_names(one) for one in citations[:MOST]]
    elif isinstance(annotations, list) and annotations:
        # OpenAI's messages have an empty list also where nobody looked for anything.
        found = [_names(one.get(str(one.get("type")), one)) for one in annotations[:MOST] if isinstance(one, dict)]
    else:
        return None
    return tuple(dict.fromkeys(names for names in found if names))


def is_source(names: tuple[str, ...], wanted: str) -> bool:
    """Return whether this is the source that is meant: by one of its names, or the end of its path."""
    plain = wanted.strip().casefold()
    return any(name.casefold() == plain or name.casefold().endswith(f"/{plain}") for name in names)


def _names(one: Any) -> tuple[str, ...]:
    if isinstance(one, str):
        return (one.strip()[:_LONGEST],) if one.strip() else ()
    if not isinstance(one, dict):
        return ()
    given = (one.get(key) for key in _NAMES)
    return tuple(name.strip()[:_LONGEST] for name in given if isinstance(name, str) and name.strip())
