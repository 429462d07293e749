"""Prompts: Jinja2 templates in a sandbox, compiled once, rendered for every request."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import jinja2
from jinja2 import nodes

from pilotage.errors import UpstreamError
from pilotage.spec.prompt import RENDERING, environment

if TYPE_CHECKING:
    from pilotage.serving.request import Request
    from pilotage.spec.release import Release

_ENVIRONMENT = environment()


@lru_cache(maxsize=512)
def _compiled(text: str) -> jinja2.Template | str:
    """Return what it renders to where that is the same for every request, else the template."""
    template = _ENVIRONMENT.from_string(text)
    parts = [part for node in _ENVIRONMENT.parse(text).body for part in _parts(node)]
    return template.render() if all(isinstance(part, nodes.TemplateData) for part in parts) else template


def _parts(node: nodes.Node) -> list[nodes.Expr] | list[nodes.Node]:
    return node.nodes if isinstance(node, nodes.Output) else [node]


def render(release: Release, request: Request) -> str:
    """Return the release's system message for this request, or an empty string where it has none.

    A template that does not render is the release's own fault: UpstreamError of kind `prompt`.
    """
    if not release.prompt:
        return ""
    try:
        compiled = _compiled(release.prompt)
        if isinstance(compiled, str):
            return compiled
        return compiled.render(use_case=release.use_case, question=request.question, messages=request.messages)
    except RENDERING as fault:
        # The fault's text may repeat what the caller wrote; its kind does not.
        raise UpstreamError("prompt", f"the prompt of this release does not render ({type(fault).__name__})") from None
