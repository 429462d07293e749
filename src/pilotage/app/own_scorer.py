"""Loading a team's own scorer, from the folders that whoever runs the command has named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage import settings
from pilotage.errors import NotMeasured
from pilotage.upstream.pipeline.load import Unloadable, load_function

if TYPE_CHECKING:
    from collections.abc import Callable


def own_scorer(name: str) -> Callable[..., Any]:
    """Return the function of a scorer by its name, `package.module:function`."""
    try:
        return load_function(name, settings.callables())
    except Unloadable as fault:
        raise NotMeasured(
            f"the scorer {name} cannot be loaded: {fault}",
            hint='PILOTAGE_CALLABLES=DIR names the folder that it lies in; [evaluation] scorer = "module:function"',
        ) from fault
