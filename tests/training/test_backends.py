"""A run is the same whatever computes its sparse layers, and may go on under another backend."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smupar_transfer.records import BudgetSpec, GPTSpec, RunSpec
from smupar_transfer.sparsity import BACKENDS, Workload
from smupar_transfer.theory import UPDATE_RULES, OptimizerSettings
from smupar_transfer.training import Execution, Silent, TokenData, load_data, load_network, run

PAIRS = [(saved, resumed) for saved in BACKENDS for resumed in BACKENDS if saved != resumed]
SHAPES = [(48, 16), (16, 16), (64, 16), (16, 64)]  # of the layers of ``spec``


class Losses(Silent):
    """Keeps every loss; presses Ctrl-C at a step."""

    def __init__(self, until: int | None = None) -> None:
        self.values: list[float] = []
        self.until = until

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.values.append(loss)
        if step == self.until:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _needs_compiler(request: pytest.FixtureRequest) -> None:
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None and "native" in callspec.params.values() and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")


def choose(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Workload]:
    """Let ``auto`` choose these, in turn by shape; returns what it is asked for."""
    asked: list[Workload] = []

    def answer(workload: Workload) -> str:
        asked.append(workload)
        return names[SHAPES.index((workload.fan_out, workload.fan_in)) % len(names)]

    monkeypatch.setattr("smupar_transfer.sparsity.linear.choose_backend", answer)
    return asked


@pytest.mark.parametrize("backend", ["expand", "csr", "native"])
@pytest.mark.parametrize("density", [0.5, 0.1])
def test_a_training_curve_is_that_of_masked(spec: RunSpec, corpus: TokenData, backend: str, density: float) -> None:
    spec = replace(spec, sparsity=replace(spec.sparsity, density=density))
    expected, own = Losses(), Losses()
    run(spec, corpus, Execution(backend="masked"), expected)
    record = run(spec, corpus, Execution(backend=backend), own)
    assert own.values == pytest.approx(expected.values, rel=1e-4)
    assert record.environment.backend == backend


@pytest.mark.parametrize("backend", ["expand", "csr", "native"])
def test_so_are_the_first_steps_on_source_code(spec: RunSpec, backend: str) -> None:
    corpus = load_data("python")
    spec = replace(
        spec,
        model=GPTSpec(width=64, depth=2, head_dim=16, vocab_size=256, context=64),
        base_width=64,
        sparsity=replace(spec.sparsity, density=1 / 16),
        data=corpus.spec,
        budget=BudgetSpec(10, batch_size=4, sequence_length=64, warmup_steps=2, evaluations=1, evaluation_batches=1),
    )
    expected, own, another = Losses(), Losses(), Losses()
    run(spec, corpus, Execution(), expected)
    run(spec, corpus, Execution(backend=backend), own)
    assert own.values == pytest.approx(expected.values, rel=1e-4)
    assert len(own.values) == 10
    assert own.values[-1] < own.values[0] - 1, "nothing was learned"
    run(replace(spec, seed=spec.seed + 1), corpus, Execution(backend=backend), another)
    assert another.values != pytest.approx(expected.values, rel=1e-4)


@pytest.mark.parametrize("names", [("masked", "csr", "native"), ("native", "csr"), ("csr", "masked")])
def test_whatever_auto_chooses_the_curve_is_that_of_masked(
    spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    if "native" in names and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    asked = choose(monkeypatch, *names)
    expected, own = Losses(), Losses()
    run(spec, corpus, Execution(backend="masked"), expected)
    record = run(spec, corpus, Execution(threads=1), own)
    assert own.values == pytest.approx(expected.values, rel=1e-4)
    chosen = Counter(names[index % len(names)] for index in range(4))
    assert record.environment.backend == "auto: " + ", ".join(f"{name} x{chosen[name]}" for name in sorted(chosen))
    assert {(workload.tokens, workload.threads, workload.device, workload.dtype) for workload in asked} == {
        (32, 1, "cpu", torch.float32)
    }


def test_auto_as_measured_here_trains_as_masked_does(spec: RunSpec, corpus: TokenData) -> None:
    expected, own = Losses(), Losses()
    run(spec, corpus, Execution(backend="masked"), expected)
    record = run(spec, corpus, Execution(), own)
    assert own.values == pytest.approx(expected.values, rel=1e-4)
    counts = re.findall(r"(?:masked|expand|csr|native) x(\d+)", record.environment.backend.removeprefix("auto: "))
    assert sum(map(int, counts)) == 4


def test_dense_layers_are_called_dense(spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = choose(monkeypatch, "masked")
    dense = replace(spec, sparsity=replace(spec.sparsity, density=1.0))
    assert run(dense, corpus, Execution()).environment.backend == "auto: dense x4"
    assert asked == []


@pytest.mark.parametrize(("saved", "resumed"), [("auto", "masked"), ("masked", "auto"), ("auto", "auto")])
def test_a_run_goes_on_though_auto_chose_otherwise(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: str, resumed: str
) -> None:
    checkpoint = tmp_path / "run.pt"
    choose(monkeypatch, "csr", "masked")
    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, Execution(backend=saved), Losses(until=12), checkpoint)
    choose(monkeypatch, "masked", "csr")  # on another machine
    whole, rest = Losses(), Losses()
    run(spec, corpus, Execution(backend="masked"), whole)
    run(spec, corpus, Execution(backend=resumed), rest, checkpoint)
    assert 0 < len(rest.values) < len(whole.values)
    assert rest.values == pytest.approx(whole.values[-len(rest.values) :], rel=1e-4)


@pytest.mark.parametrize("name", UPDATE_RULES)
@pytest.mark.parametrize(("saved", "resumed"), PAIRS)
def test_a_run_goes_on_under_another_backend(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, name: str, saved: str, resumed: str
) -> None:
    """Weights and the optimizer's moments change their layout on the way."""
    spec, checkpoint = replace(spec, optimizer=OptimizerSettings(name=name)), tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        run(spec, corpus, Execution(backend=saved), Losses(until=12), checkpoint)
    whole, rest = Losses(), Losses()
    run(spec, corpus, Execution(backend="masked"), whole)
    run(spec, corpus, Execution(backend=resumed), rest, checkpoint)
    assert rest.values == pytest.approx(whole.values[-len(rest.values) :], rel=1e-4)
    assert 0 < len(rest.values) < len(whole.values)


@pytest.mark.parametrize(("saved", "resumed"), PAIRS)
def test_a_trained_network_is_loaded_under_another_backend(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, saved: str, resumed: str
) -> None:
    checkpoint = tmp_path / "run.pt"
    run(spec, corpus, Execution(backend=saved), checkpoint=checkpoint)
    networks = [load_network(spec, checkpoint, Execution(backend=name)) for name in (saved, resumed)]
    inputs, _ = corpus.validation_batches(1, 2, 8)[0]
    first, second = (network(inputs).detach() for network in networks)
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)
