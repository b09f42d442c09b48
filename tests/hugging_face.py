"""The ``transformers`` package, as tests import it."""

from __future__ import annotations

import sys
from typing import Any


def transformers() -> Any:
    """The package, without ``torchvision``.

    ``mup`` requires ``torchvision``, and the one that the package index has beside a CPU build of torch was built for
    another torch: importing it fails, and with it the models of ``transformers``, which look whether it is there. None
    in ``sys.modules`` says that it is not. ``mup`` itself imports it only in ``mup.test``, which nothing here uses, so
    it does not matter which of the two packages a process imports first.
    """
    sys.modules["torchvision"] = None  # type: ignore[assignment]
    import transformers as package

    package.logging.set_verbosity_error()
    return package
