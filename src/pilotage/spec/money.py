"""What does not fit together in what may be spent: a budget that cannot be held, because something has no price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.fault import meant, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]
_MAX_TOKENS = 4_096
_BOUNDS = ("max_tokens", "max_completion_tokens")


def unaffordable(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, what is wrong and what would be right)."""
    budget, limits = tables.get("budget"), tables.get("limits")
    if isinstance(budget, dict):
        capped = next((key for key in ("a_day", "a_month") if key in budget), "")
        if capped:
            yield from _unpriced(capped, variants)
        if isinstance(budget.get("beyond"), str):
            yield from _beyond(budget["beyond"], capped, variants)
    if isinstance(limits, dict):
        yield from _too_few(limits, variants)


def _unpriced(capped: str, variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for name, variant in variants.items():
        if isinstance(variant, dict) and variant.get("upstream") != "search" and "price" not in variant:
            says = f"variants.{name} has no price, so budget.{capped} could not be held"
            right = "write price = { input = 0.15, output = 0.60 }, for a million tokens; 0 for what costs nothing"
            yield ("variants", name), f"{says}; {right}"


def _beyond(beyond: str, capped: str, variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    where = ("budget", "beyond")
    if not capped:
        yield where, "budget.beyond has no meaning without a_day or a_month; set one of them, or remove beyond"
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
    return variant.get("upstream") == "search" or (
        isinstance(price, dict) and price.get("input") == 0 == price.get("output")
    )


def _too_few(limits: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Find limits under which no request could ever be served."""
    tokens, longest = limits.get("tokens_a_minute"), limits.get("max_tokens", _MAX_TOKENS)
    if not isinstance(tokens, int):
        return
    for variant in variants.values():
        fixed = variant.get("parameters") if isinstance(variant, dict) else None
        said = [fixed[key] for key in _BOUNDS if isinstance(fixed.get(key), int)] if isinstance(fixed, dict) else []
        longest = max([longest, *said]) if isinstance(longest, int) else longest
    if isinstance(longest, int) and tokens <= longest:
        says = f"limits.tokens_a_minute = {tokens:,} is not more than one answer may take ({longest:,} tokens)"
        yield ("limits", "tokens_a_minute"), f"{says}; raise it, or lower limits.max_tokens"
