"""Sizes are what ``theory.Coordinate`` says, under every backend, and the run is the run that training makes."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.model import build
from smupar_transfer.model.gpt import FeedForward
from smupar_transfer.records import CoordinateRecord, Precision, RunSpec, to_plain
from smupar_transfer.sparsity import AUTO, BACKENDS, SparseLinear, named_generator
from smupar_transfer.theory import BaseHyperparameters, InputError
from smupar_transfer.training import Execution, Silent, TokenData, cross_entropy, make_optimizer, measure, run
from smupar_transfer.training.coordinates import Probe
from smupar_transfer.training.sizes import rms

STEPS = 3


class Losses(Silent):
    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.values.append(loss)


@pytest.fixture(scope="module")
def short(spec: RunSpec) -> RunSpec:
    return replace(spec, budget=replace(spec.budget, steps=STEPS, warmup_steps=0))


@pytest.fixture(scope="module")
def record(short: RunSpec, corpus: TokenData) -> CoordinateRecord:
    return measure(short, corpus)


def test_every_sparse_layer_is_measured_at_every_step(record: CoordinateRecord, short: RunSpec) -> None:
    names = ["attention.qkv", "attention.out", "mlp.up", "mlp.down"]
    assert [layer.name for layer in record.layers] == [f"blocks.0.{name}" for name in names]
    for layer in record.layers:
        assert layer.density == pytest.approx(0.5)
        for sizes in (layer.output, layer.activation, layer.gradient):
            assert len(sizes) == STEPS + 1
            assert min(sizes) > 0
        assert len(layer.update) == STEPS
    assert record.key == short.key
    assert not record.diverged


def test_first_sizes_are_those_of_the_definitions(record: CoordinateRecord, short: RunSpec, corpus: TokenData) -> None:
    """By hand: inputs caught on the way, products with the dense matrix, gradients by ``retain_grad``."""
    network, plan = build(short)
    inputs, targets = corpus.train_batch(
        named_generator(short.seed, "batches", short.data.name), short.budget.batch_size, short.budget.sequence_length
    )
    caught: dict[str, tuple[SparseLinear, Tensor, Tensor, Tensor]] = {}

    def catch(name: str, layer: SparseLinear) -> None:
        def keep(module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
            output.retain_grad()
            caught[name] = layer, layer.dense_weight().detach().clone(), given[0].detach(), output

        layer.register_forward_hook(keep)

    for name, module in network.named_modules():
        if isinstance(module, SparseLinear):
            catch(name, module)
    torch.autograd.backward(cross_entropy(network(inputs), targets))
    make_optimizer(network, plan, short.optimizer).step()
    for sizes in record.layers:
        layer, weight, x, y = caught[sizes.name]
        g = y.grad
        assert g is not None
        assert sizes.output[0] == pytest.approx(rms(x @ weight.T), rel=1e-4)
        assert sizes.activation[0] == pytest.approx(rms(x @ weight.T) / rms(x), rel=1e-4)
        assert sizes.gradient[0] == pytest.approx(rms(g @ weight) / rms(g), rel=1e-4)
        change = layer.dense_weight().detach() - weight
        assert sizes.update[0] == pytest.approx(rms(x @ change.T) / rms(x), rel=1e-3)
        assert sizes.update[0] != pytest.approx(sizes.update[1], rel=1e-3), "a change a step, not the first for ever"


def test_it_is_the_run_that_training_makes(record: CoordinateRecord, short: RunSpec, corpus: TokenData) -> None:
    longer = replace(short, budget=replace(short.budget, steps=STEPS + 1))
    losses = Losses()
    run(replace(short, budget=replace(longer.budget, final_fraction=1.0)), corpus, observer=losses)
    measured = measure(replace(short, budget=replace(short.budget, final_fraction=1.0)), corpus)
    assert measured.losses == pytest.approx(losses.values, rel=1e-5)
    assert record.losses != measured.losses, "the schedule counts"


def test_the_same_sizes_every_time(record: CoordinateRecord, short: RunSpec, corpus: TokenData) -> None:
    again = measure(short, corpus)
    assert to_plain(again) == {**to_plain(record), "wall_seconds": again.wall_seconds}


@pytest.mark.parametrize("backend", sorted(set(BACKENDS) - {"masked"}))
def test_every_backend_gives_the_same_sizes(
    record: CoordinateRecord, short: RunSpec, corpus: TokenData, backend: str
) -> None:
    if backend == "native" and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    other = measure(short, corpus, Execution(backend=backend))
    assert other.environment.backend == backend
    for computed, expected in zip(other.layers, record.layers, strict=True):
        for name in ("output", "activation", "gradient", "update"):
            assert getattr(computed, name) == pytest.approx(getattr(expected, name), rel=1e-3)


def in_bfloat16(spec: RunSpec) -> RunSpec:
    return replace(spec, precision=Precision.BFLOAT16)


@pytest.mark.parametrize("backend", [*sorted(BACKENDS), AUTO])
def test_sizes_in_bfloat16_are_those_in_float32_but_for_rounding(
    record: CoordinateRecord, short: RunSpec, corpus: TokenData, backend: str
) -> None:
    """Types clashed in dW x, of float32 weights and bfloat16 inputs, under every backend: the check ended in a crash.

    An entry of a product is rounded by 2^-9 of itself; a root mean square over thousands is off by far less.
    """
    if backend == "native" and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    other = measure(in_bfloat16(short), corpus, Execution(backend=backend))
    assert not other.diverged
    for rounded, exact in zip(other.layers, record.layers, strict=True):
        for name in ("output", "activation", "gradient", "update"):
            assert getattr(rounded, name) == pytest.approx(getattr(exact, name), rel=0.02), name
        assert rounded.activation[0] == pytest.approx(exact.activation[0], rel=2e-3)
    assert other.layers != record.layers, "it is another computation"


def test_in_bfloat16_a_change_is_measured_in_float32(layer: SparseLinear) -> None:
    """A change of 2^-12 of a weight would be nothing in bfloat16."""
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)).bfloat16()
    probe = Probe(layer)
    with torch.autocast("cpu", torch.bfloat16):
        probe.on_forward(layer, (x,), layer(x))
    probe.before_step()
    before = layer.dense_weight().detach().clone()
    layer.set_weight(before * (1 + 2.0**-12))
    probe.after_step()
    change = layer.dense_weight().detach() - before
    assert probe.update[0] == pytest.approx(rms(x.float() @ change.T) / rms(x), rel=1e-5)
    assert probe.update[0] > 0


def test_norms_are_those_before_clipping(short: RunSpec, corpus: TokenData) -> None:
    def norms(clip: float) -> tuple[float, ...]:
        spec = replace(short, optimizer=replace(short.optimizer, gradient_clip=clip))
        return measure(spec, corpus).gradient_norms

    free, clipped = norms(0.0), norms(0.01)
    assert len(free) == STEPS
    assert min(clipped) > 0.01
    assert clipped[0] == free[0]


def test_what_the_clip_did_to_the_first_update_of_sgd_is_known(short: RunSpec, corpus: TokenData) -> None:
    def under_sgd(clip: float) -> CoordinateRecord:
        sgd = replace(short.optimizer, name="sgd", gradient_clip=clip)
        return measure(replace(short, optimizer=sgd, hparams=replace(short.hparams, weight_decay=0.0)), corpus)

    free, clipped = under_sgd(0.0), under_sgd(0.01)
    assert clipped.clip_factors[0] < 0.1
    for bare, shortened in zip(free.layers, clipped.layers, strict=True):
        assert shortened.update[0] / clipped.clip_factors[0] == pytest.approx(bare.update[0], rel=1e-3)


@pytest.mark.parametrize("times", [0, 2])
def test_a_layer_must_compute_once(
    short: RunSpec, corpus: TokenData, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes of several inputs in one step would be taken for those of several steps."""

    def forward(self: FeedForward, x: Tensor) -> Tensor:
        return x if times == 0 else self.down(self.up(x)) + self.down(self.up(x))

    monkeypatch.setattr(FeedForward, "forward", forward)
    with pytest.raises(InputError, match=rf"^model=blocks.0.mlp.up: computes {times} times in a forward pass"):
        measure(short, corpus)


def test_a_run_that_diverges_is_recorded_as_far_as_it_came(short: RunSpec, corpus: TokenData) -> None:
    wild = replace(short, hparams=BaseHyperparameters(1e30, 0.1), optimizer=replace(short.optimizer, gradient_clip=0.0))
    record = measure(wild, corpus)
    assert record.diverged
    assert 1 <= len(record.losses) <= STEPS
    for layer in record.layers:
        assert len(layer.activation) <= len(record.losses)
        assert all(size < float("inf") for size in (*layer.output, *layer.activation, *layer.gradient, *layer.update))


def test_data_must_be_those_of_the_run(short: RunSpec, corpus: TokenData) -> None:
    with pytest.raises(InputError, match="sha256"):
        measure(replace(short, data=replace(short.data, sha256="cd" * 32)), corpus)


@pytest.fixture
def layer() -> SparseLinear:
    made = SparseLinear(4, 3, bias=True)
    generator = torch.Generator().manual_seed(0)
    made.set_weight(torch.randn(3, 4, generator=generator))
    assert made.bias is not None
    torch.nn.init.constant_(made.bias, 100.0)
    return made


def test_a_bias_is_no_part_of_a_size(layer: SparseLinear) -> None:
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    probe = Probe(layer)
    probe.on_forward(layer, (x,), layer(x))
    assert probe.output[0] == pytest.approx(rms(F.linear(x, layer.dense_weight())), rel=1e-4)


def test_a_gradient_is_that_through_the_layer_alone(layer: SparseLinear) -> None:
    """A residual connection brings the input more gradient; the control is that it really does."""
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    probe = Probe(layer)
    layer.register_full_backward_hook(probe.on_backward)
    torch.autograd.backward(layer(x).square().sum() + (10 * x).sum())
    g = 2 * F.linear(x, layer.dense_weight(), layer.bias).detach()
    assert probe.gradient[0] == pytest.approx(rms(g @ layer.dense_weight()) / rms(g), rel=1e-4)
    assert x.grad is not None
    assert rms(x.grad) / rms(g) != pytest.approx(probe.gradient[0], rel=1e-3)


def test_an_input_without_gradient_has_no_size_of_it(layer: SparseLinear) -> None:
    """The first layer of a network, whose input is data."""
    probe = Probe(layer)
    probe.on_backward(layer, (None,), (torch.ones(2, 3),))
    assert probe.gradient == []


def test_nothing_over_nothing_is_nothing(layer: SparseLinear) -> None:
    probe = Probe(layer)
    probe.on_forward(layer, (torch.zeros(2, 4),), layer(torch.zeros(2, 4)))
    assert probe.activation == [0.0]
