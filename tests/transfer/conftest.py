"""Networks of the room above, which are what plans are made for, and files of recipes."""

from __future__ import annotations

from tests.model.conftest import _one_thread_and_one_stream, gpt, mlp, source, target
from tests.records.conftest import gpt_run, mlp_run, recipe, tuned

__all__ = ["_one_thread_and_one_stream", "gpt", "gpt_run", "mlp", "mlp_run", "recipe", "source", "target", "tuned"]
