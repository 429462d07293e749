"""Where a variant is served, with everything that its release must carry of it: resolved once, when a folder is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from pilotage.errors import WrongCall
from pilotage.spec.provider import Provider, providers
from pilotage.spec.release import UpstreamAddress
from pilotage.spec.variant import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

OPENAI_BASE_URL = "OPENAI_BASE_URL"
_AS_WRITTEN = tuple(
    sorted(
        set(UpstreamAddress.__struct_fields__)
        & set(Upstream.model_fields) - {"kind", "provider", "base_url", "api_key_env"}
    )
)
"""Timeouts and bounds: the file's words, with its defaults."""


def address(upstream: Upstream) -> UpstreamAddress:
    """Return the address of a table `[upstreams.NAME]`; what the file says wins over what is known of its provider."""
    if upstream.callable:
        return UpstreamAddress(kind="callable", function=upstream.callable, **_as_written(upstream))
    known = providers().get(upstream.provider, Provider(dialect=upstream.kind))
    return UpstreamAddress(
        kind=known.dialect,
        provider=upstream.provider,
        base_url=upstream.base_url or known.base_url,
        api_key_env=upstream.api_key_env or known.api_key_env,
        auth=known.auth,
        headers=tuple(sorted(known.headers.items())),
        renames=tuple(sorted(known.renames.items())),
        drops=known.drops,
        stream_usage=known.stream_usage,
        **_as_written(upstream),
    )


def _as_written(upstream: Upstream) -> dict[str, Any]:
    return {name: getattr(upstream, name) for name in _AS_WRITTEN}


def built_in(name: str, environment: Callable[[str], str]) -> UpstreamAddress:
    """Return the address of 'search' or 'openai'; raise WrongCall where OPENAI_BASE_URL is no base URL.

    At another address than its own, OpenAI's peculiarities are not supposed.
    """
    if name == "search":
        return UpstreamAddress(kind="search")
    own = providers()["openai"]
    given = environment(OPENAI_BASE_URL).strip().rstrip("/")
    if given in ("", own.base_url):
        return address(Upstream(provider="openai"))
    try:
        elsewhere = Upstream(base_url=given)
    except ValidationError as fault:
        says = fault.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise WrongCall(f"{OPENAI_BASE_URL} is {says}", hint=f"unset it for {own.base_url}") from None
    return msgspec.structs.replace(address(elsewhere), api_key_env=own.api_key_env)
