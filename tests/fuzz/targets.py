# ruff: noqa: PT017 (a fault is as good as a value here)
"""What must hold of the parsers on the path, whatever bytes they are given: one function a parser, for any driver.

Each takes bytes and returns nothing; what it finds is an AssertionError, or an exception that no document names. The first
bytes say where the rest is cut into pieces.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import FrozenClock
from pilotage.errors import RequestError, UpstreamError
from pilotage.gateway.caller import Caller
from pilotage.gateway.listener import Listener
from pilotage.gateway.wire import ClientGone
from pilotage.guardrails.conformance import Conformance
from pilotage.guardrails.filters import Filters
from pilotage.guardrails.folded import Folded
from pilotage.guardrails.look import Late, Timer
from pilotage.guardrails.passage import Passage
from pilotage.guardrails.personal_data import WITHHELD, PersonalData, redact
from pilotage.guardrails.window import Window
from pilotage.serving import chat, embeddings, images, messages, responses, speech
from pilotage.serving.exposure import Exposure
from pilotage.serving.filtering import answered
from pilotage.serving.filtering import chat as chat_filter
from pilotage.serving.filtering import responses as responses_filter
from pilotage.serving.filtering.chat_sieve import ChatSieve
from pilotage.serving.filtering.texts import rewritten, texts
from pilotage.serving.outcome import Outcome
from pilotage.serving.routing import Assignment
from pilotage.spec.answer_schema import Unusable
from pilotage.spec.filter_rule import FilterRule
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Route
from pilotage.upstream.anthropic.reply import to_completion
from pilotage.upstream.anthropic.stream import Chunks
from pilotage.upstream.connection import Connection
from pilotage.upstream.sse import DONE, Splitter, data_of, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pilotage.gateway.wire import Incoming
    from pilotage.serving.request import Request

_RELEASE = Release(use_case="m", variant="v", upstream=UpstreamAddress(kind="openai"), model="real")
_ROUTE = Route(use_case="m", unit="user", live="r", releases={"r": _RELEASE}, metrics={}, retention="full")
_PARSERS: tuple[Callable[[bytes], Request], ...] = (
    chat.parse, messages.parse, responses.parse, embeddings.parse, images.parse, speech.parse,
)  # fmt: skip
_STREAMS = (
    chat.parse(b'{"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": true}'),
    messages.parse(b'{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "?"}], "stream": true}'),
    responses.parse(b'{"model": "m", "input": "?", "stream": true}'),
    images.parse(b'{"model": "m", "prompt": "?", "stream": true}'),
)
_WHOLES = tuple(msgspec.structs.replace(one, stream=False) for one in _STREAMS)
_PII = FilterRule(name="pii", kind="personal_data", side="both", action="redact", deadline=60_000_000)
_LINKS = FilterRule(name="links", kind="links", side="out", action="redact", deadline=60_000_000)
_FILTERS = Filters((_PII, _LINKS), "")
_FINDER = PersonalData()


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.out, self.closed = b"", False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.out += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _Nobody:
    def started(self, event: Any) -> None: ...
    def finished(self, event: Any, text: Any, *, redact: bool) -> None: ...


class _Unread:
    """A provider's streamed answer that is never read."""

    status = 200
    content_type = "text/event-stream"

    def chunks(self) -> Any:
        return None

    async def close(self) -> None: ...


def _pieces(data: bytes) -> list[bytes]:
    """Return what follows the first three bytes, cut where these say."""
    head, data = data[:3], data[3:]
    out = []
    for size in head:
        out.append(data[: size % 61])
        data = data[size % 61 :]
    return [*out, data]


def _text(data: bytes) -> tuple[str, list[str]]:
    """Return a text, and the pieces that it comes in."""
    text = data[3:].decode("utf-8", "replace")
    pieces, rest = [], text
    for size in data[:3]:
        pieces.append(rest[: size % 23])
        rest = rest[size % 23 :]
    return text, [*pieces, rest]


def _outcome(request: Request) -> Outcome:
    exposure = Exposure(id="i", route=_ROUTE, assignment=Assignment(_RELEASE, "r", "live"), received=1)
    return Outcome(exposure, request, _Nobody(), FrozenClock(1))


def caller(data: bytes) -> None:
    """A caller's bytes: each request is answered once or refused, and nothing stays behind."""
    seen: list[bytes] = []
    faults: list[Exception] = []

    async def handle(incoming: Incoming) -> None:
        try:
            seen.append(await incoming.body(1000))
            await incoming.reply(200, b"yes")
        except RequestError as fault:
            await incoming.refuse(fault)
        except ClientGone:
            pass
        except Exception as fault:
            faults.append(fault)
            raise

    async def work() -> None:
        listener, wire = Listener(handle), _Wire()
        connection = Caller(listener)
        connection.connection_made(wire)
        for piece in _pieces(data):
            if piece and not wire.closed:
                connection.data_received(piece)
                await asyncio.sleep(0)
        for _ in range(6):
            await asyncio.sleep(0)
        connection.connection_lost(None)
        for _ in range(6):
            await asyncio.sleep(0)
        assert not faults
        assert not listener.callers
        assert not listener.lanes
        heads = wire.out.count(b"HTTP/1.1 ") - wire.out.count(b"HTTP/1.1 100 ")
        assert heads <= len(seen) + 1

    asyncio.run(work())


def provider(data: bytes) -> None:
    """A provider's bytes: an answer, all of whose body is read, or its fault."""

    async def work() -> None:
        connection, wire = Connection(asyncio.get_running_loop(), "host"), _Wire()
        connection.connection_made(wire)
        connection.ask(b"GET / HTTP/1.1\r\n\r\n", quiet=60, end=asyncio.get_running_loop().time() + 60)
        for piece in _pieces(data):
            if piece and not wire.closed:
                connection.data_received(piece)
        if not wire.closed:
            connection.eof_received()
        connection.connection_lost(None)
        try:
            await connection.head()
            assert 200 <= connection.status <= 999
            while await connection.read():
                pass
        except UpstreamError as fault:
            assert fault.kind in ("protocol", "broken")
        assert not connection.done

    asyncio.run(work())


def events(data: bytes) -> None:
    """Server-sent events: however they are cut, the same ones come of the same bytes, and nothing of them is lost."""
    whole, cut = Splitter(), Splitter()
    at_once = whole.feed(data[3:])
    apart = [found for piece in _pieces(data) for found in cut.feed(piece)]
    for found, splitter in ((b"".join(at_once), whole), (b"".join(apart), cut)):
        assert data[3:].startswith(found)
        assert data[3 + len(found) :].strip(b"\r\n") == splitter.rest
    # A CR at the end of a piece may be half of a CRLF, so where there are any, events may be told apart later.
    if b"\r" not in data:
        assert at_once == apart
    for found in at_once:
        said = data_of(found)
        assert said is None or isinstance(said, bytes)


def request(data: bytes) -> None:
    """A request's body, at every surface."""
    for parse in _PARSERS:
        try:
            made = parse(data)
        except RequestError as fault:
            assert fault.status == 400
            continue
        assert isinstance(made.question + made.opening + made.transcript, str)
        try:
            msgspec.json.encode(made.outgoing(_RELEASE))
        except UpstreamError as fault:
            assert fault.kind in ("prompt", "protocol")


def answer(data: bytes) -> None:
    """A provider's whole answer, at every surface that reads one, and through its filters."""
    for one in _WHOLES:
        passage = Passage(_FILTERS)
        through = chat_filter if one.chats else responses_filter
        replies = [data, through.whole(data, passage)]
        if one.chats:
            chat_filter.clear(data, _FILTERS)
        said = (answered.chat if one.chats else answered.response)(replies[-1], stream=False)
        if said is not None:
            assert said.usage is None or all(type(one) in (int, type(None)) for one in said.usage)
            replies.append(through.ended(said.form, stream=False))
        for reply in replies:
            try:
                one.whole(reply, "application/json", _outcome(one))
            except UpstreamError as fault:
                assert fault.kind in ("protocol", "broken")
    try:
        to_completion(data, 1)
    except UpstreamError as fault:
        assert fault.kind in ("protocol", "broken")


def stream(data: bytes) -> None:
    """A provider's stream, at every surface: filtered, read, and told in its own protocol."""
    found = Splitter().feed(data)
    for one in _STREAMS:
        passage = Passage(_FILTERS)
        sieve = ChatSieve(passage) if one.chats else responses_filter.ResponsesSieve(passage)
        out = sieve.take_all(found)
        assert isinstance(out, bytes)
        relay: Any = one.relay(_Unread(), _outcome(one), "r")
        form = relay._form
        try:
            for each in Splitter().feed(out):
                assert isinstance(form.take_all(each) or form.take(each), bytes)
            form.end()
        except UpstreamError as fault:
            assert fault.kind in ("protocol", "broken")
            assert form.fault(fault).endswith(b"\n\n")
        said = (answered.chat if one.chats else answered.response)(out, stream=True)
        if said is not None:
            through = chat_filter if one.chats else responses_filter
            assert through.ended(said.form, stream=True).endswith(b"\n\n")
    chunks = Chunks(1, with_usage=True)
    try:
        for each in found:
            chunks.take(each)
    except UpstreamError as fault:
        assert fault.kind in ("protocol", "broken")


def nested(data: bytes) -> None:
    """JSON within texts: nothing that is found is left, what is not found stays as it was."""
    text = data.decode("utf-8", "replace")
    call = {"name": "send", "arguments": text}
    assert rewritten(call, _Same()) is call or rewritten(call, _Same()) == call
    passage = Passage(_FILTERS)
    new = rewritten(call, passage.leaving(at_once=True))
    try:
        given = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        given = None
    if isinstance(given, dict | list):
        msgspec.json.decode(new["arguments"])
    again = rewritten(new, Passage(_FILTERS).leaving(at_once=True))
    left = [one for one in texts(again) if "@example.org" in one]
    assert not left or all("@example.org" in one for one in texts(call) if one in left)


class _Same:
    def feed(self, text: str, *, last: bool = False) -> str:
        del last
        return text


def offsets(data: bytes) -> None:
    """The offset map: what was folded to a place stands where the map says, and folds to it again by itself."""
    text, pieces = _text(data)
    folded = Folded(text)
    assert len(folded.data) == len(folded.text)
    assert folded.text == "".join(Folded(piece).text for piece in pieces)
    last = 0
    for at in range(len(folded.text)):
        start, end = folded.stood(at, at + 1)
        assert last <= start < end <= len(text)
        assert Folded(text[start:end]).text == folded.text[at]
        last = end
    assert folded.origin(len(folded.text)) <= len(text)
    start, end = len(folded.text) // 3, len(folded.text) * 2 // 3
    if start < end:
        stood = folded.stood(start, end)
        assert Folded(text[slice(*stood)]).text == folded.text[start:end]


def personal_data(data: bytes) -> None:
    """Personal data: in pieces the same comes out as of the whole, and nothing of a find before it is settled."""
    text, pieces = _text(data)
    if len(text) > 4_000:
        return
    out, finds = [], []
    window = Window(_FINDER, lambda find, _: f"[{find.kind}]")
    for piece in pieces[:-1]:
        glanced = window.glance(piece)
        out.append(window.feed(piece, Timer(60)) if glanced is None else glanced)
    out.append(window.feed(pieces[-1], Timer(60), last=True))
    clean, hits = redact(text)
    assert "".join(out) == clean or clean == WITHHELD
    finds = [hit.count for hit in hits]
    assert bool(finds) == (clean != text) or "[" in text


def schema(data: bytes) -> None:
    """A schema that a caller brings, and an answer held against it: a verdict, a fault with a name, or refused in time."""
    given, _, text = data.partition(b"\0")
    try:
        held = Conformance(given.decode("utf-8", "replace"))
    except Unusable:
        return
    for one in (text.decode("utf-8", "replace"), "{}", "[[1], {}]", '{"a": {"a": "aaaa"}}'):
        with contextlib.suppress(Late):
            assert all(held.faults(one))


def _parsers() -> Iterator[Callable[[bytes], None]]:
    yield from (caller, provider, events, request, answer, stream, nested, offsets, personal_data, schema)


TARGETS = {parser.__name__: parser for parser in _parsers()}

# What each is about, so that a driver need not find it out by chance.
_CHUNK = b'{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"jane@example.org "},"finish_reason":null}]}'
_CALL = b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}'
_RESPONSE = (
    b'{"type":"response.completed","response":{"output":[{"type":"message","content":[{"type":"output_text",'
    b'"text":"jane@example.org"}]},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2}}}'
)
_DELTA = b'{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"4111 1111 1111 1111"}'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
SEEDS: dict[str, tuple[bytes, ...]] = {
    "caller": (
        # A request and what is none, at once: it was refused, and then answered.
        b"abxPOST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\naabcbPO",
        b"abcPOST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x20\x30\x09POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    "provider": (
        b"abc" + _HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"\1\2\3HTTP/1.1 100 Continue\r\n\r\n" + _HEAD + b"content-length: 3\r\n\r\nabc",
    ),
    "events": (b"abc: hi\n\ndata: {}\n\nevent: x\r\ndata: a\r\ndata: b\r\n\r\ndata: [DONE]\n\n",),
    "request": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"?"}]}],"stream":true,"stream_options":{"include_usage":true}}',
        (
            b'{"model":"m","max_tokens":5,"system":"s","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},'
            b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}],"tools":[{"name":"f","input_schema":{}}]}'
        ),
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"?"}]}],"prompt":"p","voice":"v"}',
    ),
    "answer": (
        b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"jane@example.org"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
        b'{"output":[{"type":"message","content":[{"type":"output_text","text":"https://evil.net/"}]}],"status":"completed"}',
        b'{"type":"message","role":"assistant","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"a","name":"f","input":{}}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}',
    ),
    "stream": (
        b"".join(map(event, (_CHUNK, _CHUNK, _CALL, DONE))),
        b"".join(map(event, (_DELTA, _DELTA, _RESPONSE))),
        event(b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}')
        + event(b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}')
        + event(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}')
        + event(b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}')
        + event(b'{"type":"message_stop"}'),
        event(b'{"type":{},"item":{"type":{}}}') + event(b'{"type":"x","response":{},"item":{"type":[]}}'),
    ),
    "nested": (b'{"to":"jane@example.org","note":"{\\"a\\":[4111111111111111]}"}',),
    "offsets": ("abc\uff11\uff12\u200b\u0430\u00e9\ufb01x".encode(),),
    "personal_data": (
        b"abcmail jane@example.org, card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, ip 10.0.0.1",
        "\x05\x07\x09call +49 30 901820, key sk-abcdefghij1234567890, ssn 078-05-1120, \uff11\uff12\uff13".encode(),
    ),
    "schema": (
        b'{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"anyOf":[{"type":"string","pattern":"^a+$"},{"$ref":"#"}]}},"required":["a"]}\0{"a":"aa"}',
        b'{"allOf":[{"items":{"enum":[1,2]}},{"not":{"const":3}}],"unevaluatedProperties":false,"prefixItems":[true]}\0[1,2]',
    ),
}
