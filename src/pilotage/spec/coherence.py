"""What one table says about another, and about the files: checked on the plain tables, so that one wrong key hides nothing.

Values of a wrong type are passed over here; the models report those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.spec.fault import looks_secret, meant, shown
from pilotage.spec.measures import slip
from pilotage.spec.metric import LEFT_OUT
from pilotage.spec.money import unaffordable
from pilotage.spec.provider import providers
from pilotage.spec.rollout import Rollout
from pilotage.spec.use_case import BUILT_IN_UPSTREAMS
from pilotage.spec.wording import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]
Finding = tuple[KeyPath, str]

_SOURCES = ("errors", "fallbacks", "slow", "filtered", "cost")
_ROLES = ("goals", "guardrails", "signals")


def incoherences(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield (key path, what is wrong and what would be right) for everything that does not fit together."""
    variants = _table(tables, "variants")
    yield from _named_variants(tables, variants)
    yield from _rivals(tables, variants)
    yield from _judge(tables, variants)
    yield from _fallbacks(variants)
    yield from _filters(tables, variants)
    yield from _upstreams(tables, variants)
    yield from _caches(tables, variants)
    yield from _metrics(tables)
    yield from _unprovable(tables)
    yield from _margins(tables)
    yield from _criteria(tables)
    yield from unaffordable(tables, variants)
    yield from _shadow(tables, variants)
    yield from _secrets((), tables)


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
    name, where = _table(tables, "evaluation").get("judge"), ("evaluation", "judge")
    if not isinstance(name, str):
        return
    rivals = tables.get("rivals")
    serving = {tables.get("status_quo"), tables.get("candidate"), *(rivals if isinstance(rivals, list) else ())}
    if variants and name not in variants:
        yield where, f"judge = {shown(name)} names no variant{meant(name, variants)}"
    elif name in serving:
        yield where, f"judge = '{name}' is on its way to users itself; nobody judges their own replies"
    elif _table(variants, name).get("upstream") == "search":
        yield where, f"judge = '{name}' is a search, and a judge is a model with a rubric as its prompt"


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


def _filters(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    declared = _table(tables, "filters")
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


def _upstreams(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    declared = _table(tables, "upstreams")
    for name in declared:
        if name in BUILT_IN_UPSTREAMS:
            yield (
                ("upstreams", name),
                f"'{name}' is built in; give this upstream another name and use that in the variants",
            )
        yield from _provided(name, declared[name])
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


def _caches(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    clean = _table(tables, "data").get("personal_data") is False
    for name, variant in variants.items():
        cache = variant.get("cache") if isinstance(variant, dict) else None
        if isinstance(cache, dict) and cache.get("shared") is True and not clean:
            says = "shared = true gives one unit what another was answered, which may be about that other person"
            yield (
                ("variants", name, "cache", "shared"),
                f"{says}; remove it, or say in [data] that personal_data = false",
            )


def _metrics(tables: Mapping[str, Any]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for role in _ROLES:
        for name, metric in _table(tables, role).items():
            if name in seen:
                says = f"the metric '{name}' is already one of the {seen[name]}; metric names are unique over {', '.join(_ROLES)}"
                yield (role, name), says
            seen.setdefault(name, role)
            source = metric.get("source", "feedback") if isinstance(metric, dict) else name
            if name in _SOURCES and source != name:
                says = f"'{name}' is what the gateway itself measures; set source = '{name}', or choose another name"
                yield (role, name), says
            if name == "approvals":
                yield (role, name), "'approvals' is a line of every gate already; choose another name"


def _unprovable(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Find metrics on which a candidate could never be judged as the ramp demands."""
    for role in ("goals", "guardrails"):
        for name, metric in _table(tables, role).items():
            if isinstance(metric, dict) and metric.get("silence") == LEFT_OUT:
                says = "leaves out who never answered, so response rates could mislead"
                yield (role, name, "silence"), f"{role}.{name}.silence = '{LEFT_OUT}' {says}; only a signal may do that"
    if isinstance(tables.get("candidate"), str) and _proof_demanded(tables):
        for name, goal in _table(tables, "goals").items():
            if isinstance(goal, dict) and "minimum_effect" not in goal:
                says = f"goals.{name} has no minimum_effect, and a step of the rollout demands 'prove'"
                right = "write the smallest difference that matters, such as minimum_effect = 0.02, or make it a signal"
                yield ("goals", name), f"{says}; {right}"


def _criteria(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Find bounds on a measure that nobody will ever record: such a gate could never open."""
    for stage, bounds in _table(tables, "gates").items():
        for name in bounds if isinstance(bounds, dict) else ():
            if near := slip(str(name)):
                says = f"gates.{stage}.{name} is no measure that is recorded"
                yield ("gates", stage, name), f"{says}; did you mean '{near}'?"


def _proof_demanded(tables: Mapping[str, Any]) -> bool:
    steps = _table(tables, "rollout").get("steps")
    if not isinstance(steps, list):
        return any("prove" in step.demands for step in Rollout().steps)
    demands = [step.get("demands") for step in steps if isinstance(step, dict)]
    return any("prove" in demand for demand in demands if isinstance(demand, list))


def _shadow(tables: Mapping[str, Any], variants: Mapping[str, Any]) -> Iterator[Finding]:
    """What shadow traffic costs can be capped only where there is a cap, and a price of each who gets copies."""
    staging = _table(tables, "staging")
    if not staging.get("shadow"):
        return
    if "shadow_a_day" not in staging:
        says = "shadow copies requests, which costs money, and nothing caps it"
        yield ("staging", "shadow"), f"{says}; write the most that a day may cost, such as shadow_a_day = 2.0"
    for name in _candidates(tables):
        variant = variants.get(name)
        if isinstance(variant, dict) and variant.get("upstream") != "search" and "price" not in variant:
            says = f"variants.{name} gets shadow traffic and has no price, so what that costs cannot be capped"
            yield ("variants", name), f"{says}; write price = {{ input = 0.5, output = 1.5 }} (0 where it is free)"


def _candidates(tables: Mapping[str, Any]) -> Iterator[str]:
    rivals = tables.get("rivals")
    for name in (tables.get("candidate"), *(rivals if isinstance(rivals, list) else ())):
        if isinstance(name, str):
            yield name


def _margins(tables: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield margins of fairness that are about no goal and no guardrail."""
    known = {*_table(tables, "goals"), *_table(tables, "guardrails"), "errors", "fallbacks"}
    for name in _table(_table(tables, "fairness"), "margins"):
        if name not in known:
            says = f"fairness.margins names {shown(name)}, which is no goal and no guardrail{meant(name, known)}"
            yield ("fairness", "margins", name), says


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


def _table(tables: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = tables.get(key)
    return value if isinstance(value, dict) else {}
