"""One way to serve a use case, as people write it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pilotage.spec.metric import Strict
from pilotage.spec.quantity import Duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Upstream(Strict):
    """Where a model is served: any OpenAI-compatible base URL."""

    kind: Literal["openai"] = "openai"
    """The protocol spoken there."""
    base_url: str = "https://api.openai.com/v1"
    """Up to and including the version, such as http://127.0.0.1:8000/v1."""
    api_key_env: str = ""
    """The environment variable that holds the key; the key itself never stands in a file."""
    connect_timeout: Duration = 5_000_000
    """How long a connection may take."""
    first_byte_timeout: Duration = 60_000_000
    """How long until the first byte of the answer."""
    total_timeout: Duration = 300_000_000
    """How long the whole answer may take."""

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            msg = f"{value!r} is not a base URL; it starts with http:// or https://"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _env(cls, value: str) -> str:
        if value and not value.replace("_", "a").isalnum():
            msg = "name an environment variable here, never the key itself"
            raise ValueError(msg)
        return value


class Price(Strict):
    """Money for a million tokens, in the budget's currency."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class Variant(Strict):
    """One way to serve: a model with its prompt and parameters, or search over the knowledge files."""

    upstream: Name
    """'search' (ranked retrieval over `knowledge`, no model), 'openai' (OPENAI_BASE_URL, OPENAI_API_KEY), or a name from [upstreams]."""
    model: str = ""
    """The model's name at the provider."""
    prompt: str = ""
    """A Jinja2 file, relative to this one, rendered as the system message. It sees `use_case`, `question`, `messages`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Request fields that this variant fixes, such as temperature = 0.2."""
    knowledge: tuple[str, ...] = ()
    """For 'search': files that are searched, as glob patterns relative to this file."""
    fallback: tuple[Name, ...] = ()
    """Variants that answer, in this order, when this one fails before its first byte."""
    price: Price | None = None
    """What tokens cost; without it the cost is not measured."""
