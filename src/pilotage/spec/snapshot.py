"""From a loaded use case to what is registered: its releases and its files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pilotage.spec.folder import FILE, Folder, named
from pilotage.spec.pattern import normal
from pilotage.spec.release import Release, UpstreamAddress

if TYPE_CHECKING:
    from pilotage.spec.use_case import UseCase
    from pilotage.spec.variant import Variant

_MILLION = 1_000_000


def releases(use_case: UseCase, folder: Folder) -> list[Release]:
    """Return a release for every variant, each after those that it falls back on. The folder has passed `load`."""
    made: dict[str, Release] = {}
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
            made[name] = _release(use_case, name, folder, tuple(made[other].reference for other in variant.fallback))
    return list(made.values())


def files(use_case: UseCase, folder: Folder) -> dict[str, bytes]:
    """Return `usecase.toml` and every file that it names."""
    found = {FILE: folder.files[FILE]}
    for path, name in named(use_case.model_dump(mode="json")):
        for file in [normal(name)] if path[-1] == "prompt" else folder.match(name):
            found[file] = folder.files[file]
    return found


def _release(use_case: UseCase, name: str, folder: Folder, fallbacks: tuple[str, ...]) -> Release:
    variant = use_case.variants[name]
    knowledge = {file for pattern in variant.knowledge for file in folder.match(pattern)}
    price = variant.price
    return Release(
        use_case=use_case.name,
        variant=name,
        upstream=_address(use_case, variant),
        model=variant.model,
        prompt=folder.files[normal(variant.prompt)].decode("utf-8-sig") if variant.prompt else "",
        parameters=variant.parameters,
        knowledge=tuple((file, hashlib.sha256(folder.files[file]).hexdigest()) for file in sorted(knowledge)),
        fallbacks=fallbacks,
        input_price=None if price is None else round(price.input * _MILLION),
        output_price=None if price is None else round(price.output * _MILLION),
    )


def _address(use_case: UseCase, variant: Variant) -> UpstreamAddress:
    """Built-in 'openai' has no address of its own: OPENAI_BASE_URL, or its default, is read when it serves."""
    if variant.upstream == "search":
        return UpstreamAddress(kind="search")
    if variant.upstream == "openai":
        return UpstreamAddress(kind="openai", api_key_env="OPENAI_API_KEY")
    upstream = use_case.upstreams[variant.upstream]
    return UpstreamAddress(
        kind=upstream.kind,
        base_url=upstream.base_url,
        api_key_env=upstream.api_key_env,
        connect_timeout=upstream.connect_timeout,
        first_byte_timeout=upstream.first_byte_timeout,
        total_timeout=upstream.total_timeout,
    )
