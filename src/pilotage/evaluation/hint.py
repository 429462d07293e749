"""Where to look for the cause of an error that a gateway told."""

from __future__ import annotations

_HINTS = (
    (
        " budget of ",
        "money limits: raise [budget], or give answers a lower max_tokens, for each request is held at the most that it can cost",
    ),
    ("no answer: no connection", "is the gateway up at that address?"),
    ("no answer in time", "the gateway took the request and never ended it: look at its log"),
    ("no answer: the connection broke", "a gateway worker ended in the middle: look at its log"),
    ("status:401", "the provider refuses the key: is the variable in `api_key_env` set where the gateway runs?"),
    ("status:403", "the provider refuses the key or the model: is the variable in `api_key_env` the right one?"),
    ("status:404", "the provider does not know the model or the path: see `model` and `base_url`"),
    ("status:429", "the provider's rate limit: ask for more, lower the rate, or bound it with `max_concurrent`"),
    ("status:", "the provider itself failed: see its status page, and `base_url`"),
    (
        "connect",
        "nothing answers at the provider's `base_url` from here: is it right, is a proxy (HTTPS_PROXY) needed?",
    ),
    ("prompt", "the variant's prompt does not render for these requests: `pilotage check` tries the plainest"),
    ("timeout", "the provider did not answer within the variant's timeouts: see `first_byte_timeout`"),
    ("(open)", "the breaker opened because the release failed before: the first error above is the one to look at"),
    ("again and again", "the breaker opened because the release failed before: the gateway's log says of what"),
    ("protocol", "what came back is no chat completion: does `base_url` speak OpenAI's protocol?"),
    ("internal", "the release could not be served: the gateway's log says where"),
)


def hint(error: str) -> str:
    """Return where to look for an error's cause."""
    return _known(error) or "the gateway's log says more, by the request's time"


def unrecorded(reason: str) -> str:
    """Return where to look for why something could not be measured, and that nothing came of it."""
    where = _known(reason)
    return f"{where}; nothing was recorded" if where else "nothing was recorded"


def _known(error: str) -> str:
    # The gateway tells a provider's status as "HTTP 401" to callers, and as "status:401" where a fallback answered.
    said = error.replace("HTTP ", "status:")
    return next((where for part, where in _HINTS if part in said), "")
