"""Importing a pipeline: only from the folders that whoever runs the server has named, never from anywhere else."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Unloadable(Exception):
    """Says why a pipeline cannot be used."""


def load(name: str, folders: Sequence[Path]) -> Callable[[dict[str, Any]], Any]:
    """Return the pipeline of `package.module:function`: async, or an async generator; raise Unloadable otherwise."""
    function = load_function(name, folders)
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise Unloadable(f"{name!r} is no async function, nor an async generator")
    return function


def load_function(name: str, folders: Sequence[Path]) -> Callable[..., Any]:
    """Return the function of `package.module:function`; raise Unloadable where there is none.

    Importing runs the code of the module, and of the packages around it; all of it lies in one of the folders.
    """
    if not folders:
        raise Unloadable("PILOTAGE_CALLABLES names no folder that callables may come from")
    module_name, _, function_name = name.partition(":")
    paths = [str(folder) for folder in folders]
    if PathFinder.find_spec(module_name.partition(".")[0], paths) is None:
        raise Unloadable(f"{module_name!r} is in none of the folders of PILOTAGE_CALLABLES")
    # Behind everything else, so that no file there takes the place of a library.
    sys.path += [path for path in paths if path not in sys.path]
    try:
        module = importlib.import_module(module_name)
    except Exception as fault:
        raise Unloadable(f"importing {module_name!r} failed: {type(fault).__name__}: {fault}") from fault
    origin = Path(getattr(module, "__file__", None) or "/").resolve()
    if not any(origin.is_relative_to(folder.resolve()) for folder in folders):
        raise Unloadable(f"{module_name!r} is another module, at {origin}: give yours a name that nothing else has")
    function: Any = getattr(module, function_name, None)
    if not callable(function):
        raise Unloadable(f"{module_name!r} has no function {function_name!r}")
    found: Callable[..., Any] = function
    return found
