"""Modules of a person's own that register what the package does not have, imported by every process of a command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smupar_transfer.theory import InputError, is_signal

VARIABLE = "SMUPAR_PLUGINS"
"""Environment variable with the names of the modules, separated by commas: processes inherit it."""


def plugins() -> list[str]:
    """Names of the modules that this process was told to import."""
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def add_plugins(names: Iterable[str]) -> None:
    """Tell this process, and those that it starts, to import modules, and import them here.

    Raises:
        InputError: a module cannot be imported.
    """
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*plugins(), *names]))
    import_plugins()


def origin_of(registered: object) -> tuple[str, str]:
    """Where a function or a class was written, or the class of another object.

    A module that is imported again registers another object from the same place, which is no second one of a name.
    """
    kind: Any = registered if hasattr(registered, "__qualname__") else type(registered)
    return kind.__module__, kind.__qualname__


def import_plugins() -> None:
    """Import what this process was told to; modules in the current folder are found as Python's own ``-m`` finds them.

    Raises:
        InputError: a module cannot be imported.
    """
    names, here = plugins(), str(Path.cwd())
    if names and here not in sys.path:
        # a command that is installed has its own folder there instead
        sys.path.insert(0, here)
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # whatever the person's module does wrong
            if is_signal(error):
                raise
            problem = f"cannot be imported: {type(error).__name__}: {error}"
            raise InputError("--plugin", name, problem, "give the name of a module, as in `import NAME`") from error
