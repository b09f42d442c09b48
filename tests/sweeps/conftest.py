"""Commands and records to plan and run sweeps with."""

from __future__ import annotations

from tests.app.conftest import (
    adaptive_file,
    composed,
    corpus,
    data,
    finished,
    frozen_imports,
    grid_file,
    process_state,
    python,
    results,
    smupar,
    snapshot,
    tiny,
)
from tests.model.conftest import gpt, mlp
from tests.statistics.conftest import make_check, make_record

__all__ = [
    "adaptive_file",
    "composed",
    "corpus",
    "data",
    "finished",
    "frozen_imports",
    "gpt",
    "grid_file",
    "make_check",
    "make_record",
    "mlp",
    "process_state",
    "python",
    "results",
    "smupar",
    "snapshot",
    "tiny",
]
