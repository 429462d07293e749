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
_PATTERN = re.compile(
    r"(?i)(?:(?<![a-z0-9+.-])(?:(?:https?|ftp|wss?):[/\\]*|(?:data|javascript|vbscript|file|blob):(?=[^\s]))"
    r"|(?<![a-z0-9:/\\])[/\\]{2}(?=[^\s/\\]{1,253}\.)|(?<![a-z0-9.@/\\-])www\.)" + _REST
)
_OPEN = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9]{0,11}:?|[/\\]{1,2}[^\s]{0,255})\Z")
_SCHEME = re.compile(r"(?i)([a-z]+):|[/\\]{2}|www\.")
_HOST = re.compile(r"[^/\\?#]*")
_LONGEST = 2_100


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
            kind = self._kind(found[0])
            if kind:
                finds.append(Find(*found.span(), kind))
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
        if scheme is not None and scheme[1] and scheme[1].lower() in ("data", "javascript", "vbscript", "file", "blob"):
            return "script"
        rest = link if link[:4].lower() == "www." else link[scheme.end() if scheme else 0 :].lstrip("/\\")
        found = _HOST.match(rest)
        host = (found[0] if found else "").rpartition("@")[2].partition(":")[0].rstrip(".,;!").lower()
        return "" if host in self._hosts or host.endswith(self._below or "\0") else "link"
