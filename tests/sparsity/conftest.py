"""One thread, since the tensors are tiny; the same global stream for every test, whatever ran before it."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread_and_one_stream() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
