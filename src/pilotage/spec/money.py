"""What does not fit together in what may be spent: a budget that cannot be held, because something has no price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.fault import meant, shown
from pilotage.spec.pricelist import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]
_MAX_TOKENS = 4_096
_CAPS = ("a_day", "a_month")
_BOUNDS = ("max_tokens", "max_completion_tokens")


def unaffordable(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, what is wrong and what would be right)."""
    budget, limits = tables.get("budget"), tables.get("limits")
    if isinstance(budget, dict):
        capped = _capped(budget)
        if capped:
            yield from _unpriced(capped, tables, variants)
        if isinstance(budget.get("beyond"), str):
            yield from _beyond(budget["beyond"], capped, variants)
        if budget.get("currency") == "USD" and budget.get("dollar", 1) != 1:
            yield ("budget", "dollar"), "budget.dollar says what a dollar is in another currency; remove it"
    if isinstance(limits, dict):
        for pace in ("key", "unit"):
            if isinstance(limits.get(pace), dict):
                yield from _too_few(pace, limits, variants)


def _capped(budget: Mapping[str, Any]) -> str:
    """Return the first cap that the gateway would hold, as the file names it; an empty string where there is none."""
    unit = budget.get("unit")
    found = [key for key in _CAPS if key in budget]
    found += [f"unit.{key}" for key in _CAPS if isinstance(unit, dict) and key in unit]
    return found[0] if found else ""


def _unpriced(capped: str, tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    budget = tables["budget"]
    sayable = budget.get("currency") == "USD" or "dollar" in budget
    for name, variant in variants.items():
        if not isinstance(variant, dict) or variant.get("upstream") == "search" or "price" in variant:
            continue
        found = listed(provider_of(tables, variant), str(variant.get("model", "")))
        if found is not None and sayable:
            continue
        says = f"variants.{name} has no price, so budget.{capped} could not be held"
        right = "write price = { input = 0.15, output = 0.60 }, for a million tokens; 0 for what costs nothing"
        if found is not None:
            right = f"write budget.dollar = 0.9, say, for its public price of {found.input:g} and {found.output:g} USD, or {right}"
        yield ("variants", name), f"{says}; {right}"


def provider_of(tables: Mapping[str, Any], variant: Mapping[str, Any]) -> str:
    """Return who serves a variant, as the tables of a file say it: a row of providers.toml, if any."""
    upstream = variant.get("upstream")
    named = tables.get("upstreams")
    if isinstance(named, dict) and isinstance(upstream, str) and isinstance(named.get(upstream), dict):
        return str(named[upstream].get("provider", ""))
    return str(upstream)


def _beyond(beyond: str, capped: str, variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    where = ("budget", "beyond")
    if not capped:
        yield where, "budget.beyond has no meaning without a cap such as a_day; set one, or remove beyond"
    if variants and beyond not in variants:
        yield where, f"budget.beyond = {shown(beyond)} names no variant{meant(beyond, variants)}"
    for name in _asked(beyond, variants):
        if not _free(variants[name]):
            whose = "" if name == beyond else f", a fallback of '{beyond}',"
            says = f"budget.beyond: '{name}'{whose} costs money, and it would answer when there is none left"
            yield where, f"{says}; name a variant that costs nothing, such as one at the upstream 'search'"


def _asked(start: str, variants: Mapping[str, Any]) -> list[str]:
    """Return a variant and all that may answer in its place."""
    found: list[str] = []
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found or not isinstance(variants.get(name), dict):
            continue
        found.append(name)
        fallback = variants[name].get("fallback")
        waiting += [other for other in fallback if isinstance(other, str)] if isinstance(fallback, list) else []
    return found


def _free(variant: Mapping[str, Any]) -> bool:
    price = variant.get("price")
    return variant.get("upstream") == "search" or (isinstance(price, dict) and not any(price.values()))


def _too_few(pace: str, limits: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find limits under which no request could ever be served."""
    tokens, longest = limits[pace].get("tokens_a_minute"), limits.get("max_tokens", _MAX_TOKENS)
    if not isinstance(tokens, int) or not isinstance(longest, int):
        return
    for variant in variants.values():
        fixed = variant.get("parameters") if isinstance(variant, dict) else None
        said = [fixed[key] for key in _BOUNDS if isinstance(fixed.get(key), int)] if isinstance(fixed, dict) else []
        longest = max([longest, *said])
    if tokens <= longest:
        says = f"limits.{pace}.tokens_a_minute = {tokens:,} is not more than one answer may take ({longest:,} tokens)"
        yield ("limits", pace, "tokens_a_minute"), f"{says}; raise it, or lower limits.max_tokens"
