"""A stream of chat completions through a release's filters, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.guardrails.look import Blocked
from pilotage.serving.filtering.chat import FILTERED, GIVEN, KEPT, SAID, decoded
from pilotage.serving.filtering.stencil import Stencil, said
from pilotage.serving.filtering.stream import taken
from pilotage.serving.filtering.texts import arguments, rewritten
from pilotage.upstream.sse import DONE, data_of, event

if TYPE_CHECKING:
    from pilotage.guardrails.passage import Channel, Passage


class ChatSieve:
    """One stream. `take` returns what goes out for an event; `done` tells that it was blocked and nothing follows."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._texts: dict[tuple[int, str], Channel] = {}
        self._calls: dict[int, dict[int, dict[str, Any]]] = {}
        self._begun: set[int] = set()
        self._stencil: Stencil | None = None
        self._head: dict[str, Any] = {}
        self.done = False

    def take_all(self, events: list[bytes]) -> bytes:
        """Return what goes out for events that came together: texts of one kind go on as one."""
        if len(events) == 1:
            return self.take(events[0])
        if self._stencil is None:
            return taken(self, events)
        out: list[bytes] = []
        texts: list[str] = []
        for found in events:
            text = self._stencil.text(found) if self._stencil is not None else None
            if text is not None:
                texts.append(text)
                continue
            if texts:
                out.append(self._fed("".join(texts)))
                texts.clear()
            if not self.done:
                out.append(self.take(found))
            if self.done:
                break
        if texts and not self.done:
            out.append(self._fed("".join(texts)))
        return b"".join(out)

    def take(self, found: bytes) -> bytes:
        text = self._stencil.text(found) if self._stencil is not None else None
        if text is not None:
            return self._fed(text)
        try:
            return self._read(found)
        except Blocked:
            return self._blocked()

    def _fed(self, text: str) -> bytes:
        """Return what goes out for more text of the kind that came last."""
        stencil = self._stencil
        assert stencil is not None, "it gave this text"
        try:
            new = self._channel(stencil.choice, "content").feed(text)
        except Blocked:
            return self._blocked()
        return stencil.said(new) if new else b""

    def _blocked(self) -> bytes:
        self.done = True
        ended = [{"index": index, "delta": {}, "finish_reason": FILTERED} for index in sorted(self._begun or {0})]
        return said(self._head, ended) + event(DONE)

    def _read(self, found: bytes) -> bytes:
        """Read an event whole."""
        data = data_of(found)
        if data is None:
            return found
        if data == DONE:
            return self._rest() + found
        part = decoded(data)
        if part is None or not isinstance(part.get("choices"), list):
            return found
        out = self._part(part)
        self._stencil = Stencil.of(found, part, self._head) if out else None
        return out

    def _part(self, part: dict[str, Any]) -> bytes:
        self._head = {key: value for key, value in part.items() if key not in ("choices", "usage")}
        ahead: list[bytes] = []
        choices = []
        for choice in part["choices"]:
            if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
                continue
            index = choice.get("index", 0)
            delta = choice.get("delta")
            new = self._delta(index, delta) if isinstance(delta, dict) else {}
            finish = choice.get("finish_reason")
            if finish:
                ahead += self._flushed(index)
            elif not any(new.values()) and index in self._begun and isinstance(delta, dict):
                # Held back, all of it.
                continue
            if not any(new.values()) or set(new) == {"role"}:
                new = {"role": new["role"]} if "role" in new and index not in self._begun else {}
            self._begun.add(index)
            choices.append({"index": index, "delta": new, "finish_reason": finish})
        usage = part.get("usage")
        if choices or usage is not None or not part["choices"]:
            ahead.append(said(self._head, choices, usage))
        return b"".join(ahead)

    def _delta(self, index: int, delta: dict[str, Any]) -> dict[str, Any]:
        new: dict[str, Any] = {}
        for key, value in delta.items():
            if key in SAID and isinstance(value, str):
                new[key] = self._channel(index, key).feed(value)
            elif key == "tool_calls" and isinstance(value, list):
                for call in value:
                    self._gather(index, call)
            elif key == "function_call" and isinstance(value, dict):
                self._gather(index, {"index": -1, "function": value})
            elif key in KEPT:
                new[key] = rewritten(value, self._passage.leaving(at_once=True))
        return new

    def _channel(self, index: int, key: str) -> Channel:
        channel = self._texts.get((index, key))
        if channel is None:
            channel = self._texts[index, key] = self._passage.leaving(at_once=False)
        return channel

    def _gather(self, index: int, call: Any) -> None:
        """A call is looked at when all of it is there."""
        if not isinstance(call, dict):
            return
        number = call.get("index", 0)
        kept = self._calls.setdefault(index, {}).setdefault(number if isinstance(number, int) else 0, {})
        for key in ("id", "type"):
            if call.get(key):
                kept[key] = call[key]
        for kind, given in GIVEN.items():
            tool = call.get(kind)
            if isinstance(tool, dict):
                kept["kind"] = kind
                if tool.get("name"):
                    kept["name"] = tool["name"]
                if isinstance(tool.get(given), str):
                    kept.setdefault("given", []).append(tool[given])

    def _flushed(self, index: int) -> list[bytes]:
        """Return the events that say what was held back of one choice."""
        delta: dict[str, Any] = {}
        for (of, key), channel in list(self._texts.items()):
            if of == index:
                rest = channel.feed("", last=True)
                del self._texts[of, key]
                if rest:
                    delta[key] = rest
        events = [said(self._head, [{"index": index, "delta": delta, "finish_reason": None}])] if delta else []
        for number, kept in sorted(self._calls.pop(index, {}).items()):
            given, kind = "".join(kept.get("given", ())), kept.get("kind", "function")
            self._passage.calls(str(kept.get("name")), given)
            tool = {
                "name": kept.get("name"),
                GIVEN[kind]: arguments(given, self._passage.leaving(at_once=True)),
            }
            if number < 0:
                call: dict[str, Any] = {"function_call": tool}
            else:
                one = {"index": number, "id": kept.get("id"), "type": kept.get("type", kind), kind: tool}
                call = {"tool_calls": [one]}
            events.append(said(self._head, [{"index": index, "delta": call, "finish_reason": None}]))
        return events

    def _rest(self) -> bytes:
        left = {index for index, _ in self._texts} | set(self._calls)
        return b"".join(one for index in sorted(left) for one in self._flushed(index))
