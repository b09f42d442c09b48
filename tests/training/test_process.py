from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest
import torch

from smupar_transfer.training import prepare_process
from smupar_transfer.training.process import _keep_freed_memory


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def denormals_survive() -> bool:
    return bool((torch.full((64,), 1e-39) * torch.ones(64) != 0).all())


def test_numbers_too_small_to_matter_count_as_zero() -> None:
    torch.set_flush_denormal(False)
    assert denormals_survive()
    prepare_process(1)
    assert not denormals_survive()


@pytest.mark.parametrize("threads", [1, 2])
def test_it_sets_the_number_of_threads(threads: int) -> None:
    prepare_process(threads)
    assert torch.get_num_threads() == threads


def test_freed_memory_is_kept_where_the_allocator_can(monkeypatch: pytest.MonkeyPatch) -> None:
    _keep_freed_memory.cache_clear()
    assert _keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
    _keep_freed_memory.cache_clear()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not _keep_freed_memory()
    _keep_freed_memory.cache_clear()
