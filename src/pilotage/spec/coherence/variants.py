"""What variants say of each other, of filters and of who is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.coherence.finding import table_of
from pilotage.spec.fault import meant, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.spec.coherence.finding import Finding


def of_variants(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield names of variants and filters that stand for nothing, stand twice, or go round in a circle."""
    yield from _named_variants(tables, variants)
    yield from _rivals(tables, variants)
    yield from _judge(tables, variants)
    yield from _embedding(tables, variants)
    yield from _fallbacks(variants)
    yield from _filters(tables, variants)
    yield from _caches(tables, variants)


def _named_variants(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("status_quo", "candidate"):
        name = tables.get(key)
        if isinstance(name, str) and variants and name not in variants:
            yield (key,), f"{key} = {shown(name)} names no variant{meant(name, variants)}"
    candidate = tables.get("candidate")
    if isinstance(candidate, str) and candidate == tables.get("status_quo"):
        says = f"candidate and status_quo are both {shown(candidate)}, and nothing can be compared with itself"
        yield ("candidate",), f"{says}; name another variant, or remove one of the two keys"


def _rivals(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    rivals = tables.get("rivals")
    if not isinstance(rivals, list) or not rivals:
        return
    if not isinstance(tables.get("candidate"), str):
        yield ("rivals",), "rivals go beside a candidate, and there is none; name the first of them as candidate"
    seen = {tables.get(key): key for key in ("status_quo", "candidate")}
    for index, name in enumerate(rivals):
        if not isinstance(name, str):
            continue
        if variants and name not in variants:
            yield ("rivals", index), f"rivals names {shown(name)}, which is no variant{meant(name, variants)}"
        elif name in seen:
            yield ("rivals", index), f"rivals names '{name}', which is {seen[name]} already; remove it here"
        seen.setdefault(name, "a rival")


def _judge(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    name, where = table_of(tables, "evaluation").get("judge"), ("evaluation", "judge")
    if not isinstance(name, str):
        return
    if variants and name not in variants:
        yield where, f"judge = {shown(name)} names no variant{meant(name, variants)}"
    elif name in _serving(tables):
        yield where, f"judge = '{name}' is on its way to users itself; nobody judges their own replies"
    elif table_of(variants, name).get("upstream") == "search":
        yield where, f"judge = '{name}' is a search, and a judge is a model with a rubric as its prompt"


def _embedding(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    name, where = table_of(tables, "watch").get("embedding"), ("watch", "embedding")
    if not isinstance(name, str):
        return
    if variants and name not in variants:
        yield where, f"embedding = {shown(name)} names no variant{meant(name, variants)}"
    elif name in _serving(tables):
        yield where, f"embedding = '{name}' is on its way to users itself; name a variant whose model makes vectors"
    elif table_of(variants, name).get("upstream") == "search":
        yield where, f"embedding = '{name}' is a search, and vectors are made by a model"
    if table_of(tables, "data").get("retention", "none") == "none":
        says = f"embedding = {shown(name)} has nothing to embed, for no texts are kept"
        yield where, f"{says}; write retention = 'redacted' under [data], or remove it"


def _serving(tables: Mapping[str, Any]) -> list[object]:
    rivals = tables.get("rivals")
    return [tables.get("status_quo"), tables.get("candidate"), *(rivals if isinstance(rivals, list) else ())]


def _fallbacks(variants: Mapping[str, Any]) -> Iterator[Finding]:
    chains: dict[str, list[str]] = {}
    for name, variant in variants.items():
        given = variant.get("fallback") if isinstance(variant, dict) else None
        chains[name] = []
        for index, other in enumerate(given if isinstance(given, list) else ()):
            if not isinstance(other, str):
                continue
            where = ("variants", name, "fallback", index)
            if other not in variants:
                yield (
                    where,
                    f"variants.{name}.fallback names {shown(other)}, which is no variant{meant(other, variants)}",
                )
            elif other in chains[name]:
                yield where, f"variants.{name}.fallback names '{other}' twice; once is enough"
            else:
                chains[name].append(other)
    for circle in _circles(chains):
        around = " -> ".join((*circle, circle[0]))
        yield (
            ("variants", circle[0], "fallback"),
            f"fallbacks go round in a circle: {around}; end the chain with a variant that has none",
        )


def _circles(chains: Mapping[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield each circle once: depth first, without recursion, for chains may be long."""
    done: set[str] = set()
    for start in chains:
        trail: list[str] = []
        standing: set[str] = set()
        waiting = [(start, False)]
        while waiting:
            name, leaving = waiting.pop()
            if leaving:
                trail.pop()
                standing.discard(name)
                done.add(name)
            elif name in standing:
                yield tuple(trail[trail.index(name) :])
            elif name not in done:
                trail.append(name)
                standing.add(name)
                waiting.append((name, True))
                waiting += [(other, False) for other in reversed(chains[name])]


def _filters(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    declared = table_of(tables, "filters")
    used: set[str] = set()
    for name, variant in variants.items():
        given = variant.get("filters") if isinstance(variant, dict) else None
        seen: set[str] = set()
        for index, one in enumerate(given if isinstance(given, list) else ()):
            where = ("variants", name, "filters", index)
            if not isinstance(one, str):
                continue
            if one not in declared:
                says = f"variants.{name}.filters names {shown(one)}, which is not under [filters]"
                yield where, says + (meant(one, declared) or f"; write [filters.{one[:60]}] with its kind")
            elif one in seen:
                yield where, f"variants.{name}.filters names '{one}' twice; once is enough"
            seen.add(one)
        used |= seen
    for name in declared:
        if name not in used:
            says = f"no variant passes through the filter '{name}', so it protects nothing"
            yield ("filters", name), f'{says}; write filters = ["{name}"] in a variant, or remove it'


def _caches(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    clean = table_of(tables, "data").get("personal_data") is False
    for name, variant in variants.items():
        cache = variant.get("cache") if isinstance(variant, dict) else None
        if isinstance(cache, dict) and cache.get("shared") is True and not clean:
            says = "shared = true gives one unit what another was answered, which may be about that other person"
            yield (
                ("variants", name, "cache", "shared"),
                f"{says}; remove it, or say in [data] that personal_data = false",
            )
