"""A request as the caller sent it, whatever it asks for: checked where Pilotage relies on it, otherwise passed through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from pilotage.errors import RequestError
from pilotage.upstream.quirks import adapt

if TYPE_CHECKING:
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.relay import Relay
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Answer

BODY_LIMIT = 4 << 20
DEPTH_LIMIT = 64

BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_CHAT_BOUNDS = frozenset(BOUNDS[:2])

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is the whole request in its provider's form, unknown fields included.

    `user` is what it says about who asks, if anything. What is asked for is its own class: `surface` names it in records,
    `path` is where a provider takes it, and `chats` says whether whatever answers chats can answer it.
    """

    surface: ClassVar[str]
    path: ClassVar[str]
    chats: ClassVar[bool] = False
    texts: ClassVar[tuple[str, ...]] = ("messages", "input", "instructions", "prompt", "prediction")
    """Fields of the body that hold what is asked, as texts: what filters look at."""
    bounds: ClassVar[tuple[str, ...]] = ()
    """Fields that say how many tokens an answer may have, the usual one first."""
    answers_tokens: ClassVar[bool] = True
    """Whether there may be any."""
    answer_most: ClassVar[int] = 0
    """Tokens that an answer has at most where no field bounds it; 0: as many as the file says."""
    answer_limit: ClassVar[int] = 16 << 20
    """Bytes of a unary answer."""

    body: dict[str, Any]
    model: str
    stream: bool
    user: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Return the conversation, where there is one: what a prompt's template sees."""
        return []

    @property
    def question(self) -> str:
        """Return what was asked last, or an empty string."""
        return ""

    @property
    def tools(self) -> list[str]:
        """Return the names of the tools that are offered; of a provider's own, their type."""
        given = self.body.get("tools")
        named = [tool for tool in given if isinstance(tool, dict)] if isinstance(given, list) else []
        own = [tool["function"] if isinstance(tool.get("function"), dict) else tool for tool in named]
        return [str(tool.get("name") or tool.get("type")) for tool in own]

    @property
    def opening(self) -> str:
        """Return the text of the user's first message: what tells one conversation from another."""
        return ""

    @property
    def transcript(self) -> str:
        """Return what was asked as people read it, for retained texts."""
        return ""

    @property
    def characters(self) -> int:
        """Return how many characters are to be read aloud."""
        return 0

    @property
    def pictures(self) -> bool:
        """Return whether pictures are asked for, `n` of them or one."""
        return False

    @property
    def everything(self) -> dict[str, Any]:
        """Return all fields that were sent, those too that only one protocol knows."""
        return self.body

    def outgoing(self, release: Release) -> dict[str, Any]:
        """Return what goes to the release's provider, in its own names; the variant's fixed parameters win."""
        address, fixed = release.upstream, release.parameters
        given = adapt(self.body, address, chat=self.chats)
        if self.chats and not _CHAT_BOUNDS.isdisjoint(fixed):
            # One thing by two names: the caller's other one must not stand beside the variant's.
            given = {name: value for name, value in given.items() if name not in _CHAT_BOUNDS}
        return {**given, **adapt(fixed, address, chat=self.chats), "model": release.model}

    def rewritten(self, fields: dict[str, Any]) -> Self:
        """Return the request with other values of fields that hold texts."""
        return msgspec.structs.replace(self, body={**self.body, **fields})

    def whole(self, reply: bytes, content_type: str, outcome: Outcome) -> tuple[bytes, str]:
        """Return a unary answer and its content type as the caller gets them; raise UpstreamError where it is none."""
        raise NotImplementedError

    def relay(self, answer: Answer, outcome: Outcome, reference: str) -> Relay | None:
        """Return what passes a streamed answer on, or None for a unary one, which is all that some surfaces have."""
        del answer, outcome, reference
        return None


def decode(data: bytes) -> Any:
    """Return the JSON value; raise RequestError where it is none or nests deeper than the limit."""
    if too_deep(data):
        raise faulty(f"the body nests deeper than {DEPTH_LIMIT} levels", code="too_deep")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise faulty(f"the body is not JSON: {fault}", code="invalid_json") from None
    except RecursionError:
        raise faulty(f"the body nests deeper than {DEPTH_LIMIT} levels", code="too_deep") from None


def too_deep(data: bytes, limit: int = DEPTH_LIMIT) -> bool:
    """Return whether well-formed JSON nests deeper than `limit`, without decoding it.

    Every pass removes the innermost brackets, so the passes that are needed are the depth. What cannot be removed is
    not well-formed, which is the decoder's to say.
    """
    if data.count(b"{") + data.count(b"[") <= limit:
        return False
    left = _without_strings(data).translate(_BRACKETS, _NOT_BRACKETS)
    for _ in range(limit):
        inner = left.replace(b"[]", b"")
        if len(inner) == len(left):
            return False
        left = inner
    return b"[]" in left


def _without_strings(data: bytes) -> bytes:
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # What stands between an odd quote and the next is a string.
    return b"".join(data.split(b'"')[::2])


def fields(data: bytes) -> tuple[dict[str, Any], str, bool, str]:
    """Return body, model, whether it streams, and who asks; raise RequestError that names the field at fault in `param`."""
    body = decode(data)
    if not isinstance(body, dict):
        raise faulty(f"the body is {kind_of(body)}; it must be an object with model")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", model, "a use case's name as text")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise wrong("stream", stream, "true or false")
    for name in ("safety_identifier", "user"):
        if body.get(name) is not None and not isinstance(body[name], str):
            raise wrong(name, body[name], "text")
    return body, model, bool(stream), body.get("safety_identifier") or body.get("user") or ""


def kind_of(value: object) -> str:
    match value:
        case None:
            return "missing or null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "empty text" if not value else "text"
        case list():
            return "a list"
        case _:
            return "an object"


def wrong(param: str, value: object, right: str) -> RequestError:
    return faulty(f"{param} is {kind_of(value)}; it must be {right}", param=param, code="invalid_type")


def faulty(message: str, *, param: str | None = None, code: str = "invalid_request") -> RequestError:
    return RequestError(400, message, code=code, param=param)
