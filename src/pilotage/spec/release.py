"""A release: an immutable, content-addressed snapshot of one variant. Free of pydantic, for the gateway reads it."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from pilotage.spec.filter_rule import FilterRule
from pilotage.spec.price import FREE, Price


class UpstreamAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """Where and how a release is served; timeouts in microseconds. `kind` is the protocol, `search` or `callable`.

    `function` is the pipeline of a `callable`, and `version` what its team calls the code behind it.

    A bound of 0 is none, and `idle_timeout` 0 is `first_byte_timeout`: what releases had that were made before.
    `auth` is `bearer` or the header that takes the bare key; `headers`, `renames` and `drops` say what is peculiar to
    the provider there (providers.toml). Pairs instead of tables, for addresses are compared and looked up.
    """

    kind: str
    provider: str = ""
    function: str = ""
    version: str = ""
    base_url: str = ""
    api_key_env: str = ""
    auth: str = "bearer"
    headers: tuple[tuple[str, str], ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    drops: tuple[str, ...] = ()
    stream_usage: bool = True
    connect_timeout: int = 5_000_000
    first_byte_timeout: int = 60_000_000
    idle_timeout: int = 0
    total_timeout: int = 300_000_000
    retries: int = 0
    retry_wait: int = 2_000_000
    hedge_after: int = 0
    breaker_failures: int = 0
    breaker_pause: int = 10_000_000
    max_concurrent: int = 0
    max_waiting: int = 100
    wait_timeout: int = 5_000_000


class CacheRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which answers are given again; `ttl` in microseconds."""

    ttl: int
    shared: bool = False
    tools: bool = False
    megabytes: int = 16


class Release(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What serves. `prompt` is the template's text; `knowledge` pairs of (file name, SHA-256 of its bytes) in the store.

    `fallbacks` are references to other releases, `filters` what its texts pass through, in order; prices are millionths
    of the currency: for a million tokens, a picture, a million characters read aloud. Without `input_price`, what it costs is not its own to say.
    """

    use_case: str
    variant: str
    upstream: UpstreamAddress
    model: str = ""
    prompt: str = ""
    parameters: dict[str, Any] = {}
    knowledge: tuple[tuple[str, str], ...] = ()
    fallbacks: tuple[str, ...] = ()
    filters: tuple[FilterRule, ...] = ()
    input_price: int | None = None
    output_price: int | None = None
    image_price: int = 0
    speech_price: int = 0
    cache: CacheRules | None = None

    @property
    def digest(self) -> str:
        """Return 12 hex digits of SHA-256 over the canonical JSON of the content."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:12]

    @property
    def price(self) -> Price | None:
        """Return what it says that it costs; who only searches costs nothing."""
        if self.input_price is None:
            return FREE if self.upstream.kind == "search" else None
        return Price(self.input_price, self.output_price or 0, self.image_price, self.speech_price)

    @property
    def reference(self) -> str:
        return f"{self.use_case}/{self.variant}@{self.digest}"
