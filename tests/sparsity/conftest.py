"""One thread, since the tensors are tiny; the same global stream for every test, whatever ran before it."""

from __future__ import annotations

import os
import shlex
import shutil

import pytest
import torch

from smupar_transfer.sparsity import BACKENDS


@pytest.fixture(autouse=True)
def _one_thread_and_one_stream() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def needs_compiler() -> None:
    """Skips where there is none; where there is one, kernels that cannot be built are a failure."""
    if shutil.which(shlex.split(os.environ.get("CXX", "c++"))[0]) is None:
        pytest.skip("there is no C++ compiler")


def _name(request: pytest.FixtureRequest) -> str:
    if request.param == "native":
        request.getfixturevalue("needs_compiler")
    return str(request.param)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend in turn."""
    return _name(request)


@pytest.fixture(params=BACKENDS)
def other_backend(request: pytest.FixtureRequest) -> str:
    """Every backend in turn, for each of ``backend``."""
    return _name(request)
