"""What is measured, not how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import BACKENDS
from smupar_transfer.sparsity.backends import MaskedBackend
from smupar_transfer.sparsity.calibration import timing
from smupar_transfer.sparsity.calibration.timing import bytes_beside, measure
from smupar_transfer.sparsity.calibration.work import Work

WORK = Work(24, 16, nonzero=96, full=False, tokens=8, threads=1, dtype=torch.float64)  # masked and csr everywhere


class Watched(MaskedBackend):
    """Counts steps and remembers what it was given; takes ``seconds`` a step longer."""

    def __init__(self, mask: Tensor, seconds: float = 0.0) -> None:
        super().__init__(mask)
        self.seconds, self.steps, self.tokens = seconds, 0, 0
        self.autocast = False

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        self.steps, self.tokens = self.steps + 1, len(inputs)
        time.sleep(self.seconds)
        self.autocast = torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            return super().linear(inputs, weight, bias)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Watched]]:
    """Replace masked and csr by watched ones that take so many seconds longer."""

    def replace(**seconds: float) -> dict[str, Watched]:
        made: dict[str, Watched] = {}

        def maker(name: str) -> Callable[[Tensor], Watched]:
            return lambda mask: made.setdefault(name, Watched(mask, seconds[name]))

        for name in seconds:
            monkeypatch.setitem(BACKENDS, name, maker(name))
        return made

    return replace


def test_all_candidates_are_timed() -> None:
    found = measure(WORK)
    assert set(found) == {"masked", "csr"}
    assert all(
        row.products > 0 and row.update > 0 and row.seconds == row.products + row.update for row in found.values()
    )


def test_a_full_mask_is_timed_as_a_dense_layer() -> None:
    found = measure(Work(24, 16, 24 * 16, True, 8, 1))
    assert list(found) == ["dense"]
    assert found["dense"].structure == 0


def test_the_slower_one_measures_slower(watch: Callable[..., dict[str, Watched]]) -> None:
    watch(masked=0.004, csr=0.002)
    found = measure(WORK)
    assert found["masked"].products > 0.004 > found["csr"].products > 0.002


def test_a_hopeless_rival_is_measured_once_and_masked_never_given_up(watch: Callable[..., dict[str, Watched]]) -> None:
    made = watch(masked=0.0, csr=0.03)
    assert set(measure(WORK)) == {"masked", "csr"}
    assert made["csr"].steps == 2 < 1 + timing.LEAST_ROUNDS <= made["masked"].steps
    made = watch(masked=0.03, csr=0.0)
    measure(WORK)
    assert made["masked"].steps > timing.LEAST_ROUNDS


def test_large_layers_are_measured_in_part_and_scaled(
    watch: Callable[..., dict[str, Watched]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "MOST_STORED", 64 * 16)
    monkeypatch.setattr(timing, "MOST_OPERATIONS", 3.0 * 64 * 16 * 300)
    made = watch(masked=0.002, csr=0.002)
    found = measure(Work(256, 16, 1024, False, 1024, 1, torch.float64))
    assert made["masked"].mask.shape == (64, 16)
    assert made["masked"].tokens == 256  # whole tiles
    assert made["csr"].mask.shape == (256, 16)  # as many weights make more rows
    assert found["masked"].products > 4 * 4 * 0.002
    monkeypatch.setattr(timing, "MOST_ENTRIES", 128 * 16)
    made.clear()
    measure(Work(256, 16, 1024, False, 1024, 1, torch.float64))
    assert made["csr"].mask.shape == (128, 16)


def test_a_rival_that_fails_is_left_out_and_masked_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(mask: Tensor) -> Any:
        raise RuntimeError("this build has no sparse products")

    monkeypatch.setitem(BACKENDS, "csr", broken)
    assert set(measure(WORK)) == {"masked"}
    monkeypatch.setitem(BACKENDS, "masked", broken)
    with pytest.raises(RuntimeError, match="no sparse products"):
        measure(WORK)


@pytest.mark.parametrize(("precision", "expected"), [(torch.float32, False), (torch.bfloat16, True)])
def test_products_are_timed_in_their_own_precision(
    watch: Callable[..., dict[str, Watched]], precision: torch.dtype, expected: bool
) -> None:
    made = watch(masked=0.0, csr=0.0)
    measure(replace(WORK, precision=precision))
    assert {name: layer.autocast for name, layer in made.items()} == {"masked": expected, "csr": expected}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_leaves_no_trace_and_works_where_gradients_are_off(context: Any) -> None:
    state = torch.get_rng_state()
    with context():
        assert measure(WORK)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "expected"), [("masked", 4.0), ("csr", 12.0)])
def test_bytes_beside_the_weights(name: str, expected: float) -> None:
    """A float mask; two int32 indices and a position. Row starts vanish in a large layer; the mask is not counted."""
    mask = torch.rand(64, 2048, generator=torch.Generator().manual_seed(0)) < 0.5
    stored = mask.numel() if name == "masked" else int(mask.sum())
    assert bytes_beside(BACKENDS[name](mask), mask) / stored == pytest.approx(expected, rel=0.02)
