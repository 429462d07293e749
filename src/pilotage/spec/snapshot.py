"""From a loaded use case to what is registered: its releases and its files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pilotage.spec.address import address, built_in
from pilotage.spec.folder import FILE, ONE_FILE, Folder, named
from pilotage.spec.pattern import normal
from pilotage.spec.release import CacheRules, Release

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.spec.filter_rule import FilterRule
    from pilotage.spec.release import UpstreamAddress
    from pilotage.spec.use_case import UseCase

_MILLION = 1_000_000


def _nothing_set(_: str) -> str:
    return ""


def releases(use_case: UseCase, folder: Folder, environment: Callable[[str], str] = _nothing_set) -> list[Release]:
    """Return a release for every variant, each after those that it falls back on. The folder has passed `load`.

    `environment` gives OPENAI_BASE_URL, which is where the built-in 'openai' is served.
    """
    made: dict[str, Release] = {}
    own = use_case.upstreams
    waiting = list(reversed(use_case.variants))
    while waiting:
        name = waiting[-1]
        variant = use_case.variants[name]
        missing = [other for other in variant.fallback if other not in made]
        if missing:
            waiting += reversed(missing)
            continue
        waiting.pop()
        if name not in made:
            made[name] = _release(
                use_case,
                name,
                folder,
                address(upstream)
                if (upstream := own.get(variant.upstream))
                else built_in(variant.upstream, environment),
                tuple(made[other].reference for other in variant.fallback),
            )
    return list(made.values())


def files(use_case: UseCase, folder: Folder) -> dict[str, bytes]:
    """Return `usecase.toml` and every file that it names."""
    found = {FILE: folder.files[FILE]}
    for path, name in named(use_case.model_dump(mode="json")):
        for file in [normal(name)] if path[-1] in ONE_FILE else folder.match(name):
            found[file] = folder.files[file]
    return found


def _release(
    use_case: UseCase, name: str, folder: Folder, upstream: UpstreamAddress, fallbacks: tuple[str, ...]
) -> Release:
    variant = use_case.variants[name]
    knowledge = {file for pattern in variant.knowledge for file in folder.match(pattern)}
    price = variant.price
    return Release(
        use_case=use_case.name,
        variant=name,
        upstream=upstream,
        model=variant.model,
        prompt=folder.files[normal(variant.prompt)].decode("utf-8-sig") if variant.prompt else "",
        parameters=variant.parameters,
        knowledge=tuple((file, hashlib.sha256(folder.files[file]).hexdigest()) for file in sorted(knowledge)),
        fallbacks=fallbacks,
        filters=tuple(_rule(use_case, one, folder) for one in variant.filters),
        input_price=None if price is None else round(price.input * _MILLION),
        output_price=None if price is None else round(price.output * _MILLION),
        image_price=0 if price is None else round(price.image * _MILLION),
        speech_price=0 if price is None else round(price.speech * _MILLION),
        cache=None if variant.cache is None else CacheRules(**variant.cache.model_dump()),
    )


def _rule(use_case: UseCase, name: str, folder: Folder) -> FilterRule:
    given = use_case.filters[name]
    return given.rule(name, folder.files[normal(given.file)].decode("utf-8-sig") if given.file else "")
