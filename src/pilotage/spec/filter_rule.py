"""A filter as a release carries it. Free of pydantic, for the gateway reads it."""

from __future__ import annotations

import msgspec


class FilterRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """One check of content, before the provider is asked (`in`), on its answer (`out`), or on both.

    `action` is `block`, `redact` or `flag`; `deadline`, in microseconds, bounds one look. Where it passes, or the filter
    errs, `on_error` says whether the text is blocked or passes unseen. The rest belongs to one kind each.
    """

    name: str
    kind: str
    side: str
    action: str
    deadline: int = 100_000
    on_error: str = "block"
    find: tuple[str, ...] = ()
    restore: bool = True
    regions: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    words: int = 0
    topics: tuple[str, ...] = ()
    most: int = 0
    tools: tuple[str, ...] = ()
    arguments: tuple[tuple[str, tuple[str, ...]], ...] = ()
    schema: str = ""
    repair: bool = True
    model: str = ""

    @property
    def sides(self) -> tuple[str, ...]:
        return ("in", "out") if self.side == "both" else (self.side,)
