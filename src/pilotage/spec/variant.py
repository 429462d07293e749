"""One way to serve a use case, as people write it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import Field, field_validator, model_validator

from pilotage.spec.metric import Incoherent, Lines, Strict
from pilotage.spec.quantity import Day, Duration

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,120}_API_KEY")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SERVED = {
    "model": "write it as the variant's own model",
    "messages": "messages are the client's, and the system message comes from prompt",
    "stream": "the client says whether it streams",
}


class Quota(Strict):
    """What a provider lets an account ask, as its price list or its console says."""

    requests_a_minute: Annotated[int, Field(ge=1)] | None = None
    """The most requests in one minute."""
    tokens_a_minute: Annotated[int, Field(ge=1)] | None = None
    """The most tokens in one minute, of requests and answers together."""


class Upstream(Strict):
    """Where a model is served: a provider that Pilotage knows, or any base URL that speaks a protocol it knows."""

    provider: str = ""
    """Who serves there, such as 'mistral' (docs/providers.md): its address, its key's variable, and what it does differently."""
    callable: str = ""
    """A pipeline of one's own in a provider's place: an async Python function, as 'package.module:function' (docs/providers.md)."""
    version: str = ""
    """What the pipeline's code is called; a new one makes a new release, for code is not in the digest."""
    kind: Literal["openai", "anthropic"] = "openai"
    """The protocol spoken at `base_url`, where no provider says it."""
    base_url: str = ""
    """Up to and including the version, such as http://127.0.0.1:8000/v1; needed where the provider has no address of its own."""
    api_key_env: str = ""
    """The environment variable that holds the key, ending in _API_KEY, in place of the provider's; the key itself never stands in a file."""
    connect_timeout: Duration = 5_000_000
    """How long a connection may take."""
    first_byte_timeout: Duration = 60_000_000
    """How long until the first byte of the answer."""
    idle_timeout: Duration = 0
    """The longest silence within an answer; 0 is as long as `first_byte_timeout`."""
    total_timeout: Duration = 300_000_000
    """How long the whole answer may take."""
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """How often a request is sent again where the provider cannot be reached, is overloaded or fails, before its first byte."""
    retry_wait: Duration = 2_000_000
    """The longest pause before that; a provider that asks for a longer one (retry-after) is not asked again."""
    hedge_after: Duration = 0
    """The silence after which a request is sent once more beside itself, and the first answer taken; 0 is never. One request in ten at most."""
    breaker_failures: Annotated[int, Field(ge=0, le=1_000)] = 5
    """Failures within ten to twenty seconds, half of a release's requests at least, after which it is not asked for a while; 0 is never."""
    breaker_pause: Duration = 10_000_000
    """For how long; then one request finds out whether it answers again."""
    max_concurrent: Annotated[int, Field(ge=0, le=100_000)] = 0
    """The most requests that each worker has under way here; 0 is without bound."""
    max_waiting: Annotated[int, Field(ge=0, le=100_000)] = 100
    """The most requests that wait for one of these to end; others are turned away at once."""
    wait_timeout: Duration = 5_000_000
    """How long they wait."""
    quota: Quota | None = None
    """What the provider lets you ask. `rehearse --ramp` holds it against the declared peak; nothing here enforces it."""

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            msg = "not a base URL; write http:// or https://, a host and a path, such as http://127.0.0.1:8000/v1"
            raise ValueError(msg)
        if "@" in parts.netloc:
            msg = "credentials stand in this URL; name the environment variable that holds the key in api_key_env"
            raise ValueError(msg)
        if parts.query or parts.fragment:
            msg = "a base URL ends with its path; remove the part after ? or #"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("callable")
    @classmethod
    def _function(cls, value: str) -> str:
        if value and not _FUNCTION.fullmatch(value):
            msg = "name a function as 'package.module:function'"
            raise ValueError(msg)
        return value

    @field_validator("api_key_env")
    @classmethod
    def _env(cls, value: str) -> str:
        # The value is not repeated: where somebody wrote the key itself, a message would spread it.
        if value and not _VARIABLE.fullmatch(value):
            msg = (
                "name an environment variable here that ends in _API_KEY, such as OPENAI_API_KEY: never the key itself, nor"
                " any other secret of the server's, for it is sent to base_url"
            )
            raise ValueError(msg)
        return value


class Price(Strict):
    """What the variant's provider asks, in the budget's currency."""

    input: Annotated[float, Field(ge=0, le=1_000_000)]
    """A million tokens of the request."""
    output: Annotated[float, Field(ge=0, le=1_000_000)]
    """A million tokens of the answer."""
    image: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """One picture that is made."""
    speech: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """A million characters that are read aloud."""


class Cache(Strict):
    """Answers given again to exactly the same request, without asking the provider. Only chats, responses and embeddings."""

    ttl: Annotated[Duration, Field(gt=0, le=86_400_000_000)]
    """For how long an answer may be given again; a day at most."""
    shared: bool = False
    """Whether one unit may get what another was answered; else each has its own, and requests without a unit none."""
    tools: bool = False
    """Whether requests that offer tools count too, so that a call is made again that was made before."""
    megabytes: Annotated[int, Field(ge=1, le=1024)] = 16
    """The most memory that it takes in each worker; what was not asked for the longest goes first."""


class Variant(Strict):
    """One way to serve: a model with its prompt and parameters, or search over the knowledge files."""

    upstream: Name
    """'search' (ranked retrieval over `knowledge`, no model), 'openai' (OPENAI_BASE_URL as it is when this file is applied, OPENAI_API_KEY), or a name from [upstreams]."""
    model: str = ""
    """The model's name at the provider."""
    prompt: str = ""
    """A Jinja2 file, relative to this one, rendered as the system message. It sees `use_case`, `question`, `messages`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Request fields that this variant fixes, such as temperature = 0.2."""
    knowledge: Lines = ()
    """For 'search': files that are searched, as glob patterns relative to this file (`**` for any depth)."""
    fallback: Annotated[tuple[Name, ...], pydantic.Strict(False)] = ()
    """Variants that answer, in this order, when this one fails before its first byte."""
    filters: Annotated[tuple[Name, ...], pydantic.Strict(False)] = ()
    """Filters that its requests and answers pass through, in this order: names from [filters]."""
    retires: Day | None = None
    """The day on which its provider shuts the model down, such as 2027-03-01, where that is known; people are told in time."""
    price: Price | None = None
    """What it costs; without it the provider's public price counts (docs/limits.md), and where there is none, the cost is not measured."""
    cache: Cache | None = None
    """Give the same answer to the same question, for a while; off where this table is not there."""

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        """Parameters travel as JSON, and never replace what Pilotage or the client decides."""
        faults = [
            (f"parameters.{name}", f"parameters.{name} cannot be fixed here; {hint}")
            for name, hint in _SERVED.items()
            if name in self.parameters
        ]
        faults += [
            (
                f"parameters.{name}",
                f"parameters.{name} holds {fault}; write text, numbers, true, false, lists or tables",
            )
            for name, value in self.parameters.items()
            if (fault := _not_json(value))
        ]
        if faults:
            raise Incoherent(faults)
        return self


def _not_json(value: object) -> str:
    """Return what within a parameter's value JSON cannot carry, or an empty string."""
    match value:
        case bool() | str():
            return ""
        case int():
            return "" if abs(value) < 1 << 63 else "a whole number beyond 64 bits"
        case float():
            return "" if math.isfinite(value) else "a number that is not finite"
        case list():
            return next(filter(None, map(_not_json, value)), "")
        case dict():
            return next(filter(None, map(_not_json, value.values())), "")
        case _:
            return f"a {type(value).__name__}"
