"""The ``transformers`` package, as tests import it, and whatever else looks for ``torchvision``."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any


def hide_torchvision() -> None:
    """Have this process do without ``torchvision``, to be called before ``transformers`` or ``lightning`` is imported.

    ``mup`` requires ``torchvision``, and the one that the package index has beside a CPU build of torch was built for
    another torch: importing it fails, and with it the models of ``transformers``, which look whether it is there. None
    in ``sys.modules`` says that it is not; what Lightning needs looks whether it is installed instead. ``mup`` itself
    imports it only in ``mup.test``, which nothing here uses, so it does not matter which of the two packages a process
    imports first.
    """
    if sys.modules.setdefault("torchvision", None) is None:  # type: ignore[arg-type]
        importlib.metadata.version = _version  # type: ignore[assignment]


def _version(name: str, _installed: Any = importlib.metadata.version) -> str:
    if name == "torchvision":
        raise importlib.metadata.PackageNotFoundError(name)
    version: str = _installed(name)
    return version


def transformers() -> Any:
    """The package, without ``torchvision``."""
    hide_torchvision()
    import transformers as package

    package.logging.set_verbosity_error()
    return package
