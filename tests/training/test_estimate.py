"""What a run will take: counted by hand where it can be, added up where it is measured."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from smupar_transfer.model import build
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import BACKENDS, SparseLinear, Timing, Workload
from smupar_transfer.theory import InputError
from smupar_transfer.training import (
    Execution,
    Measurement,
    TokenData,
    estimate_step,
    make_optimizer,
    measure_steps,
    run_seconds,
    spread,
    step_seconds,
)

MODULE = "smupar_transfer.training.estimate"
TIMINGS = {"masked": Timing(4.0, 2.0, 4.0), "csr": Timing(1.0, 0.5, 12.0)}


@pytest.fixture
def two_layers(spec: RunSpec) -> RunSpec:
    return replace(
        spec,
        model=replace(spec.model, depth=2),  # type: ignore[arg-type]
        sparsity=replace(spec.sparsity, density=0.25),
    )


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Workload]:
    """Every layer takes 6 s under masked and 1.5 s under csr; returns what was asked."""
    asked: list[Workload] = []

    def calibrate(workload: Workload) -> dict[str, Timing]:
        asked.append(workload)
        return {"dense": Timing(3.0, 1.0, 0.0)} if workload.full else TIMINGS

    monkeypatch.setattr(f"{MODULE}.calibrate", calibrate)
    monkeypatch.setattr(f"{MODULE}.choose_backend", lambda workload: "dense" if workload.full else "csr")
    return asked


def test_equal_layers_are_one_row(two_layers: RunSpec, timed: list[Workload]) -> None:
    estimate = estimate_step(two_layers, Execution(threads=1))
    assert [(row.name, row.count, row.shape, row.nonzero) for row in estimate.layers] == [
        ("blocks.*.attention.qkv", 2, (48, 16), 192),
        ("blocks.*.attention.out", 2, (16, 16), 64),
        ("blocks.*.mlp.up", 2, (64, 16), 256),
        ("blocks.*.mlp.down", 2, (16, 64), 256),
    ]
    assert {(workload.tokens, workload.threads, workload.device) for workload in timed} == {(32, 1, "cpu")}
    row = estimate.layers[0]
    assert (row.flops_dense, row.flops_sparse) == (6 * 48 * 16 * 32, 6 * 192 * 32)
    assert row.state_bytes == 192 * (16 + 12) + 48 * 16 / 8


@pytest.mark.parametrize(("backend", "seconds"), [("masked", 8 * 6.0), ("csr", 8 * 1.5), ("auto", 8 * 1.5)])
def test_seconds_are_those_of_the_backend_that_computes(
    two_layers: RunSpec, timed: list[Workload], backend: str, seconds: float
) -> None:
    estimate = estimate_step(two_layers, Execution(backend=backend))
    assert estimate.layer_seconds == seconds
    assert {row.backend for row in estimate.layers} == {backend.replace("auto", "csr")}


def test_dense_layers_are_priced_as_dense(two_layers: RunSpec, timed: list[Workload]) -> None:
    estimate = estimate_step(replace(two_layers, sparsity=replace(two_layers.sparsity, density=1.0)), Execution())
    assert {row.backend for row in estimate.layers} == {"dense"}
    assert estimate.layer_seconds == 8 * 4.0
    assert estimate.layers[0].flops_dense == estimate.layers[0].flops_sparse


def test_products_grow_with_tokens_between_points_of_the_grid(two_layers: RunSpec, timed: list[Workload]) -> None:
    wider = replace(two_layers, budget=replace(two_layers.budget, batch_size=5))  # 40 tokens, timed at 32
    assert estimate_step(wider, Execution(backend="masked")).layers[0].seconds["masked"] == 4.0 * 40 / 32 + 2.0


def test_the_rest_of_the_operations_is_attention_and_readout(two_layers: RunSpec, timed: list[Workload]) -> None:
    estimate = estimate_step(two_layers, Execution())
    assert estimate.rest_flops == pytest.approx(32 * (6 * 16 * 16 + 6 * 2 * 8 * 16))


@pytest.mark.parametrize("name", ["masked", "csr"])
def test_state_is_what_a_real_network_holds(two_layers: RunSpec, name: str) -> None:
    """Weights, gradients, moments, masks and structures, by storage; the optimizer's step counters are left out."""
    spec = replace(two_layers, model=replace(two_layers.model, width=128))
    network, plan = build(spec, name)
    optimizer = make_optimizer(network, plan, spec.optimizer)
    network(torch.zeros(1, 8, dtype=torch.int64)).sum().backward()
    optimizer.step()
    held = list(network.parameters()) + [tensor.grad for tensor in network.parameters()]
    held += [value for row in optimizer.state.values() for value in row.values() if value.ndim]
    for layer in network.modules():
        if isinstance(layer, SparseLinear):
            kept = vars(layer.backend)
            held += [layer.mask_bits, *(kept["structure"] if name == "csr" else [kept["mask"]])]
    stored = {tensor.data_ptr(): tensor.nbytes for tensor in held if tensor is not None}
    assert estimate_step(spec, Execution(backend=name)).state_bytes == pytest.approx(sum(stored.values()), rel=0.01)


def test_a_backend_that_cannot_compute_here_is_refused(two_layers: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}.calibrate", lambda workload: {"masked": TIMINGS["masked"]})
    with pytest.raises(InputError, match=r"^sparsity\.backend=csr: cannot compute here"):
        estimate_step(two_layers, Execution(backend="csr"))


def test_a_network_that_was_measured_takes_what_it_took(two_layers: RunSpec, timed: list[Workload]) -> None:
    estimate = estimate_step(two_layers, Execution())
    longer = replace(two_layers, budget=replace(two_layers.budget, steps=500))
    measured = Measurement(two_layers, step_seconds=7.0, rest_seconds=1.0)
    assert step_seconds(longer, estimate, measured) == 7.0
    other = replace(two_layers, sparsity=replace(two_layers.sparsity, density=0.5))
    assert step_seconds(other, estimate, measured) == 8 * 1.5 + estimate.rest_flops


def test_evaluations_count_a_third(spec: RunSpec) -> None:
    assert run_seconds(spec, 3.0) == pytest.approx(20 * 3.0 + 4 * 2 * 1.0)


def test_a_few_steps_are_measured_on_a_network_of_bearable_width(
    two_layers: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.MOST_MEASURED_WIDTH", 32)
    measured = measure_steps(replace(two_layers, model=replace(two_layers.model, width=64)), corpus, Execution())
    assert (measured.spec.model.width, measured.steps) == (32, 9)
    assert measured.step_seconds > 0
    assert 0 < measured.spread[0] <= 1 <= measured.spread[1]
    assert measured.rest_seconds >= 0
    odd = replace(two_layers, model=replace(two_layers.model, width=40))  # halves do not hold whole heads
    assert measure_steps(odd, corpus, Execution()).spec.model.width == 40


def test_steps_on_one_thread_are_timed_by_what_the_processor_gave_them(
    two_layers: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wall time would count what other programs did meanwhile; here they take a minute a step."""
    walls = itertools.count(0, 60.0)
    monkeypatch.setattr(f"{MODULE}.time.perf_counter", lambda: next(walls))
    assert measure_steps(two_layers, corpus, Execution()).step_seconds < 60
    assert measure_steps(two_layers, corpus, Execution(threads=2)).step_seconds == 60.0


def test_of_a_slow_network_fewer_steps_are_timed(
    two_layers: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.LONG_SECONDS", 0.0)
    assert measure_steps(two_layers, corpus, Execution()).steps == 3


def test_a_spread_is_the_quartiles_over_the_median() -> None:
    assert spread([2.0, 4.0, 1.0, 3.0, 5.0]) == (2 / 3, 4 / 3)
    assert spread([7.0]) == spread([]) == (1.0, 1.0)


def test_estimates_of_this_machine_are_finite_and_of_every_candidate(two_layers: RunSpec) -> None:
    for row in estimate_step(two_layers, Execution()).layers:
        assert {"masked", "csr"} <= set(row.seconds) <= set(BACKENDS)
        assert all(0 < seconds < 60 for seconds in row.seconds.values())
        assert row.backend in row.seconds
