"""What one table says about another, and about the files: checked on the plain tables, so that one wrong key hides nothing.

Values of a wrong type are passed over here; the models report those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.coherence.finding import table_of
from pilotage.spec.coherence.metrics import of_metrics
from pilotage.spec.coherence.upstreams import of_upstreams
from pilotage.spec.coherence.variants import of_variants
from pilotage.spec.fault import looks_secret
from pilotage.spec.money import unaffordable
from pilotage.spec.wording import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.spec.coherence.finding import Finding, KeyPath


def incoherences(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield (key path, what is wrong and what would be right) for everything that does not fit together."""
    variants = table_of(tables, "variants")
    yield from of_variants(tables, variants)
    yield from of_upstreams(tables, variants)
    yield from of_metrics(tables, variants)
    yield from unaffordable(tables, variants)
    yield from _secrets((), tables)


def _secrets(path: KeyPath, value: Any) -> Iterator[Finding]:
    """Find keys that stand in the file, without repeating them. `usecase.toml` nests no deeper than its reader allows."""
    if isinstance(value, str) and looks_secret(value):
        says = (
            f"{dotted(path)} looks like a key itself; keep it in an environment variable and name that in api_key_env"
        )
        yield path, says
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "api_key_env":  # its own model judges it more strictly
                yield from _secrets((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets((*path, index), item)
