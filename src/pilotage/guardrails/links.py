"""Finds links to hosts that are not listed, in any markup: what counts is where a browser would go.

A picture that a model is made to show can carry a conversation away in its address, and nobody need click on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotage.guardrails.look import Find, settled

if TYPE_CHECKING:
    from pilotage.guardrails.look import Sight

_REST = r"[^\s<>\"'`)\]]{0,2000}"
_BLANK = r"[\x00-\x20]{0,8}"
_MARKDOWN = rf"\]\({_BLANK}<?|\]:[ \t]{{0,8}}<?"
_ATTRIBUTE = rf"\b(?:href|src|srcset|action|poster|background){_BLANK}="
"""What a link's address stands behind, in Markdown and HTML."""
_SCHEMED = r"[a-z][a-z0-9+.-]{0,31}:(?=\S)|[a-z0-9+.-]{0,32}(?:&#?\w{1,31};|\\[:/&#\\])"
"""An address that begins with a scheme, or with what turns into one: marks that Markdown and HTML take for others."""
_BROKEN = r"[a-z]{1,12}[\t\r\n]{1,8}[a-z]"
"""A scheme over two lines: within quotes, HTML takes it for one."""
_PATTERN = re.compile(
    rf"(?i)(?:{_MARKDOWN}|{_ATTRIBUTE}{_BLANK}[\"']?{_BLANK})(?P<address>(?:{_SCHEMED}){_REST})"
    rf"|{_ATTRIBUTE}{_BLANK}[\"']{_BLANK}(?P<broken>{_BROKEN}{_REST})"
    r"|(?:(?<![a-z0-9+.-])(?:(?:https?|ftp|wss?):[/\\]*|[a-z][a-z0-9+.-]{1,20}:[/\\]{2}(?=\S)|(?:data|javascript|vbscript|file|blob):(?=[^\s]))"
    r"|(?<![a-z0-9:/\\])[/\\]{2}(?=[^\s/\\]{1,253}\.)|(?<![a-z0-9.@/\\-])www\.)" + _REST
)
_OPEN = re.compile(
    rf"(?i)(?:\](?:\({_BLANK}<?|:[ \t]{{0,8}}<?)?[a-z0-9+.&#;\\-]{{0,64}}:?"
    rf"|(?:href|src|srcset|action|poster|background){_BLANK}(?:={_BLANK}[\"']?{_BLANK})?[a-z0-9+.&#;\\-]{{0,64}}(?::|[\t\r\n]{{1,8}})?"
    r"|[a-z][a-z0-9+.-]{0,31}:?[/\\]{0,2}|[/\\]{1,2}[^\s]{0,255})\Z"
)
_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*):|[/\\]{2}|www\.")
_HOST = re.compile(r"[^/\\?#]*")
_SCRIPTS = frozenset({"data", "javascript", "vbscript", "file", "blob"})
_HOSTED = frozenset({"http", "https", "ftp", "ws", "wss"})
_NO_HOST = frozenset({"mailto", "tel", "sms"})
"""Schemes that show somebody an address, and go nowhere by themselves."""


class Links:
    """`hosts` may be linked to: `example.com`, or `*.example.com` for all below it."""

    folds = False
    kinds = ("link", "script")

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._below = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    def look(self, sight: Sight) -> tuple[list[Find], int]:
        finds, candidates = [], []
        for found in _PATTERN.finditer(sight.text, sight.since):
            sight.timer.check()
            candidates.append(found.span())
            place = "address" if found["address"] else "broken" if found["broken"] else 0
            kind = self._kind(found[place])
            if kind:
                finds.append(Find(*found.span(place), kind))
        end = len(sight.text)
        if not sight.last:
            open_ = _OPEN.search(sight.text, max(sight.since, end - 300))
            at = open_.start() if open_ else end
            if candidates and candidates[-1][1] == end:
                at = min(at, candidates[-1][0])
            end = settled(at, candidates)
            finds = [find for find in finds if find.end <= end]
        return finds, end

    def _kind(self, link: str) -> str:
        """Return what is wrong with a link, or an empty string."""
        scheme = _SCHEME.match(link)
        name = scheme[1].lower() if scheme is not None and scheme[1] else ""
        if name in _SCRIPTS:
            return "script"
        if name in _NO_HOST:
            return ""
        if scheme is None or (name and name not in _HOSTED):
            return "link"
        rest = link if link[:4].lower() == "www." else link[scheme.end() :].lstrip("/\\")
        found = _HOST.match(rest)
        host = (found[0] if found else "").rpartition("@")[2].partition(":")[0].rstrip(".,;!").lower()
        return "" if host in self._hosts or host.endswith(self._below or "\0") else "link"
