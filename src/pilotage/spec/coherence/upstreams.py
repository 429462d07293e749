"""Whether every variant has somebody who answers, and gives them what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.coherence.finding import table_of
from pilotage.spec.fault import meant, shown
from pilotage.spec.provider import providers
from pilotage.spec.quantity import parse_duration
from pilotage.spec.use_case import BUILT_IN_UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.spec.coherence.finding import Finding


def of_upstreams(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    declared = table_of(tables, "upstreams")
    for name in declared:
        if name in BUILT_IN_UPSTREAMS:
            yield (
                ("upstreams", name),
                f"'{name}' is built in; give this upstream another name and use that in the variants",
            )
        yield from _provided(name, declared[name])
        yield from _hedged(name, declared[name])
    for name, variant in variants.items():
        upstream = variant.get("upstream") if isinstance(variant, dict) else None
        if not isinstance(upstream, str):
            continue
        if upstream in (*BUILT_IN_UPSTREAMS, *declared):
            own = declared.get(upstream)
            for key, says in _served(upstream, variant, modelled=not (isinstance(own, dict) and own.get("callable"))):
                yield ("variants", name, key), f"variants.{name}{says}"
        else:
            says = f"variants.{name}.upstream = {shown(upstream)} is neither built in nor under [upstreams]"
            yield ("variants", name, "upstream"), says + meant(upstream, (*BUILT_IN_UPSTREAMS, *declared))


def _provided(name: str, upstream: object) -> Iterator[Finding]:
    """Yield what is wrong with who serves an upstream, and where."""
    if not isinstance(upstream, dict):
        return
    provider, here = upstream.get("provider", ""), f"upstreams.{name}"
    if upstream.get("callable"):
        for key in ("provider", "kind", "base_url", "api_key_env"):
            if upstream.get(key):
                yield ("upstreams", name, key), f"{here}.{key} has no effect beside callable: remove one of them"
        return
    if not isinstance(provider, str):
        return
    known = providers().get(provider)
    if provider and known is None:
        says = f"{here}.provider = {shown(provider)} is not one that Pilotage knows{meant(provider, providers())}"
        yield ("upstreams", name, "provider"), f"{says}; any other needs only its base_url"
    elif not upstream.get("base_url") and (known is None or not known.base_url):
        such = known.example if known else "http://127.0.0.1:8000/v1"
        says = f"{here} has no address; write base_url, such as {such}"
        yield ("upstreams", name), says if known else f"{says}, or the provider"
    if known and upstream.get("kind", known.dialect) != known.dialect:
        says = f"{here}.kind is what its provider says already, {known.dialect!r}"
        yield ("upstreams", name, "kind"), f"{says}; remove it"


def _hedged(name: str, upstream: object) -> Iterator[Finding]:
    if not isinstance(upstream, dict):
        return
    after, end = upstream.get("hedge_after"), upstream.get("first_byte_timeout", "60s")
    try:
        late = parse_duration(after) >= parse_duration(end)
    except ValueError:
        # There is none, or what is wrong with it is told elsewhere.
        return
    if late:
        says = f"upstreams.{name}.hedge_after = {shown(after)} never comes: the first byte is waited for {end} at most"
        yield ("upstreams", name, "hedge_after"), f"{says}; write less, such as the time within which 95 % are answered"


def _served(upstream: str, variant: Mapping[str, Any], *, modelled: bool) -> Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) where a variant lacks what its upstream needs, or gives what it does not read."""
    searches = upstream == "search"
    if searches and not variant.get("knowledge"):
        yield "knowledge", ' searches nothing; write knowledge = ["knowledge/*.md"], the files to search'
    if modelled and not searches and not variant.get("model"):
        yield "model", ' has no model; write model = "...", its name at the provider'
    for key in ("model", "prompt") if searches else ("knowledge",):
        if variant.get(key):
            hint = "; only 'search' reads it" if key == "knowledge" else ""
            yield key, f".{key} has no effect with upstream '{upstream}'{hint}: remove it"
