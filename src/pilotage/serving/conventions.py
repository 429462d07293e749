"""The names of OpenTelemetry's conventions for generative AI, which still move, in one place.

For figures as Envoy AI Gateway exports them, for spans as the conventions of version 1.37 have them:
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotage.spec.release import UpstreamAddress

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
ORIGINAL_MODEL = "gen_ai.original.model"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 (a name of theirs)
ERROR = "error.type"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
FINISH_REASONS = "gen_ai.response.finish_reasons"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

TOKENS = "gen_ai.client.token.usage"
DURATION = "gen_ai.server.request.duration"
FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105
PER_TOKEN = "gen_ai.server.time_per_output_token"  # noqa: S105

TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))
DURATION_BOUNDS = tuple(0.01 * 2**power for power in range(14))
FIRST_TOKEN_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PER_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Seconds and tokens, as in its internal/metrics/genai.go."""

_OPERATIONS = {"images": "image_generation"}
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
}


def operation(surface: str) -> str:
    return _OPERATIONS.get(surface, surface)


def provider(address: UpstreamAddress) -> str:
    """Return who serves there; of an address of one's own, the protocol that is spoken."""
    return _PROVIDERS.get(address.provider, address.provider or address.kind)


def label(name: str) -> str:
    """Return an attribute's name as Prometheus has it."""
    return name.replace(".", "_")
