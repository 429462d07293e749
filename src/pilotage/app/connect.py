"""From an address to the upstream that speaks there: the transport, and around it what is peculiar to the provider."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pilotage.upstream.anthropic import AnthropicUpstream
from pilotage.upstream.keyed import BEARER, KeyedUpstream
from pilotage.upstream.limit import LimitedUpstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from pilotage.clock import Clock
    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Upstream
    from pilotage.upstream.tally import Tally

OPENAI = "https://api.openai.com/v1"

log = logging.getLogger(__name__)


def connect(
    transport: Callable[[UpstreamAddress, str], Upstream],
    address: UpstreamAddress,
    environment: Callable[[str], str],
    clock: Clock,
    tally: Tally,
) -> Upstream:
    """Return the upstream of an address; `transport` is given the address and a key for `Authorization: Bearer`.

    An address without a base URL was registered before releases carried it: OpenAI's, or what OPENAI_BASE_URL names.
    """
    variable = address.api_key_env
    if not address.base_url:
        variable = variable or "OPENAI_API_KEY"
        address = msgspec.structs.replace(address, base_url=(environment("OPENAI_BASE_URL") or OPENAI).rstrip("/"))
    key = environment(variable).strip() if variable else ""
    if variable and not key:
        log.warning("%s is not set here: %s is asked without a key", variable, urlsplit(address.base_url).netloc)
    if address.auth == BEARER and not address.headers:
        upstream = transport(address, key)
    else:
        upstream = KeyedUpstream(transport(address, ""), address, key)
    if address.kind == "anthropic":
        upstream = AnthropicUpstream(upstream, clock)
    return bounded(upstream, address, tally)


def bounded(upstream: Upstream, address: UpstreamAddress, tally: Tally) -> Upstream:
    """Return the upstream within the bound that its address names, if any."""
    return LimitedUpstream(upstream, address, tally) if address.max_concurrent else upstream
