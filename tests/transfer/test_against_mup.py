"""Plain torch models planned with ``parametrization="mup"`` against the same models as the ``mup`` package has them.

The three are written after the package's public examples. Both sides are made from the same random numbers, so that
initial values, outputs and training can be compared number for number, and not as distributions. Where the two differ,
they do so on purpose:

- Adam's epsilon: ``mup`` leaves it alone; here it shrinks as gradients do, by m_d (CompleteP, arXiv 2505.01618). Its
  effect is seen only where gradients are as small as epsilon.
- Weight decay of biases and gains: ``mup`` decays them as any other parameter; here they are never decayed.
- Attention: ``mup``'s users divide by the head's size themselves, with a constant that makes up for it at the base;
  here a module keeps its 1 / sqrt(head size) and the plan multiplies by what is missing.
- Tied weights: ``mup`` rescales them as a readout's, by the root of m_d, and expects them to be drawn anew; here they
  are an embedding's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import mup
import mup.init
import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import OptimizerSettings
from smupar_transfer.transfer import Plan, plan
from tests.transfer.mup_examples import EXAMPLES, INPUTS, Mlp, Transformer

BASE, WIDE = 32, 128
WIDTH = WIDE / BASE
NO_EPSILON = OptimizerSettings(epsilon=1e-30)
RATE, DECAY = 0.01, 0.1

by_example = pytest.mark.parametrize("example", EXAMPLES)


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    """So that equal means equal to 12 digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def drawn(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def as_mup_has_it(example: str) -> nn.Module:
    make, kind = EXAMPLES[example], mup.MuReadout
    model = drawn(0, lambda: make(WIDE, kind))
    mup.set_base_shapes(model, make(BASE, kind), delta=make(2 * BASE, kind))
    return model


def as_planned(example: str, **settings: Any) -> tuple[nn.Module, Plan]:
    make = EXAMPLES[example]
    model, base = drawn(0, lambda: make(WIDE, nn.Linear)), drawn(1, lambda: make(BASE, nn.Linear))
    planned = plan(model, base, parametrization="mup", **settings)
    planned.apply_(model)
    return model, planned


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    names = [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_parameters()] == names
    close = [torch.allclose(ours.get_parameter(n), theirs.get_parameter(n), rtol=1e-9, atol=1e-12) for n in names]
    assert dict(zip(names, close, strict=True)) == dict.fromkeys(names, True)


@by_example
def test_initial_values_are_mups_number_for_number(example: str) -> None:
    """Under torch's own initialisations, weights and biases of hidden layers and readouts included."""
    assert_equal(as_planned(example)[0], as_mup_has_it(example))


@by_example
def test_outputs_are_mups_number_for_number(example: str) -> None:
    """Output multipliers, and the factors on attention, are equal then."""
    inputs = INPUTS[example]()
    ours, theirs = as_planned(example)[0].eval(), as_mup_has_it(example).eval()
    torch.testing.assert_close(ours(inputs), theirs(inputs))


@by_example
@pytest.mark.parametrize("multiplier", [1.0, 3.0])
def test_output_multipliers_are_mups(example: str, multiplier: float) -> None:
    _, planned = as_planned(example, hparams={"output_multiplier": multiplier})
    (hook,) = planned.multipliers
    readout: Any = as_mup_has_it(example).get_submodule(hook.module)
    assert hook.side == "input"
    assert hook.factor == multiplier / readout.width_mult()


def rates(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, tuple[float, float]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


Maker = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: dict[str, tuple[Maker, Maker, OptimizerSettings]] = {
    "MuAdam": (mup.MuAdam, torch.optim.Adam, NO_EPSILON),
    "MuAdamW": (mup.MuAdamW, torch.optim.AdamW, NO_EPSILON),
    "MuSGD": (mup.MuSGD, torch.optim.SGD, OptimizerSettings(name="sgd")),
}
by_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@by_example
@by_optimizer
def test_learning_rates_and_weight_decays_are_mups(example: str, optimizer: str) -> None:
    """Readouts under SGD included: with a multiplier before it, a readout learns m_d times as fast, on both sides."""
    make, _, settings = OPTIMIZERS[optimizer]
    theirs = as_mup_has_it(example)
    expected = rates(make(theirs.parameters(), lr=RATE, weight_decay=DECAY), theirs)
    _, planned = as_planned(example, optimizer=settings, hparams={"learning_rate": RATE, "weight_decay": DECAY})
    for row in planned.rows:
        rate, decay = expected.pop(row.name)
        assert row.learning_rate == pytest.approx(rate), row.name
        if row.role == "vector":
            assert (row.weight_decay, decay > 0) == (0, True), "biases and gains are never decayed here, on purpose"
        else:
            assert row.weight_decay == pytest.approx(decay), row.name
    assert expected == {}


@by_example
@by_optimizer
def test_training_is_mups_number_for_number(example: str, optimizer: str) -> None:
    """Without decay, and with an epsilon that has no effect."""
    make, plain, settings = OPTIMIZERS[optimizer]
    theirs = as_mup_has_it(example)
    ours, planned = as_planned(example, optimizer=settings)
    options = {} if optimizer == "MuSGD" else {"eps": settings.epsilon}
    steps = {
        theirs: make(theirs.parameters(), lr=1e-3, weight_decay=0.0, **options),
        ours: plain(planned.groups(ours, learning_rate=1e-3, weight_decay=0.0)),
    }
    for model, step in steps.items():
        for _ in range(3):
            step.zero_grad()
            model(INPUTS[example]()).square().mean().backward()
            step.step()
    assert_equal(ours, theirs)


def test_epsilon_follows_gradients_where_mup_leaves_it() -> None:
    """Gradients shrink by m_d in front of the readout's multiplier. A readout's bias, behind it, does not grow."""
    theirs = as_mup_has_it("MLP")
    assert {group["eps"] for group in mup.MuAdam(theirs.parameters(), lr=RATE).param_groups} == {1e-8}
    _, planned = as_planned("MLP")
    assert {row.epsilon for row in planned.rows if row.name != "readout.bias"} == {1e-8 / WIDTH}
    assert planned["readout.bias"].epsilon == 1e-8


def test_attention_is_divided_by_the_heads_size_by_a_constant_on_what_the_module_does() -> None:
    """``mup``'s example says sqrt(base size) / size; the module says 1 / sqrt(size), and the plan the rest."""
    ours, planned = as_planned("Transformer")
    theirs = as_mup_has_it("Transformer")
    assert planned.attention == {"attention": WIDTH**-0.5}
    size = WIDE // Transformer.heads
    base = BASE // Transformer.heads
    assert ours.get_submodule("attention").scaling == pytest.approx(base**0.5 / size)
    assert theirs.get_submodule("attention").scaling == pytest.approx(base**0.5 / size)


def uneven(scale: int) -> nn.Module:
    """Layers of which one grows as the square of the other: of the hidden weights, one widens and one narrows."""
    one, other = 16 * scale, 16 * scale**2
    return nn.Sequential(nn.Linear(8, one), nn.Linear(one, other), nn.Linear(other, one), nn.Linear(one, 4))


@pytest.mark.parametrize(("optimizer", "theirs"), [("adamw", mup.MuAdam), ("sgd", mup.MuSGD)])
def test_rates_are_mups_where_inputs_and_outputs_grow_unevenly(optimizer: str, theirs: Maker) -> None:
    model, base = uneven(4), uneven(1)
    mup.set_base_shapes(model, base, delta=uneven(2), do_assert=False)
    expected = {name: rate for name, (rate, _) in rates(theirs(model.parameters(), lr=1.0), model).items()}
    planned = plan(uneven(4), base, parametrization="mup", optimizer=optimizer)
    assert {row.name: row.learning_rate_factor for row in planned.rows} == expected
    # outputs over inputs: 16 / 4 and 4 / 16
    by_sgd = {"1.weight": 4.0, "2.weight": 0.25}
    assert {name: expected[name] for name in by_sgd} == (
        by_sgd if optimizer == "sgd" else {"1.weight": 1 / 4, "2.weight": 1 / 16}
    )
    # a part of the inputs: under SGD as many times the rate, whatever the outputs do (SuPar, appendix D.3.1)
    sparse = plan(uneven(4), base, density=0.25, optimizer=optimizer)
    assert [sparse[name].learning_rate_factor for name in by_sgd] == [4 * expected[name] for name in by_sgd]


def test_tied_weights_stay_an_embeddings_where_mup_rescales_them_as_a_readouts() -> None:
    class Tied(nn.Module):
        def __init__(self, width: int, shared: bool) -> None:
            super().__init__()
            self.tokens = nn.Embedding(96, width)
            self.hidden = nn.Linear(width, width)
            if shared:
                self.readout = mup.MuSharedReadout(self.tokens.weight, bias=False)
            else:
                self.readout = nn.Linear(width, 96, bias=False)
                self.readout.weight = self.tokens.weight

    theirs = drawn(0, lambda: Tied(WIDE, shared=True))
    mup.set_base_shapes(theirs, Tied(BASE, shared=True), delta=Tied(2 * BASE, shared=True))
    ours = drawn(0, lambda: Tied(WIDE, shared=False))
    planned = plan(ours, Tied(BASE, shared=False), parametrization="mup", hparams={"learning_rate": RATE})
    planned.apply_(ours)
    torch.testing.assert_close(theirs.get_parameter("tokens.weight"), ours.get_parameter("tokens.weight") * WIDTH**0.5)
    (hook,) = planned.multipliers
    readout: Any = theirs.get_submodule("readout")
    assert (hook.module, hook.factor) == ("readout", 1 / readout.width_mult())
    assert (
        planned["tokens.weight"].learning_rate
        == rates(mup.MuAdam(theirs.parameters(), lr=RATE), theirs)["tokens.weight"][0]
    )


INITIALISERS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "normal": lambda init, tensor: init.normal_(tensor, std=0.02),
    "uniform": lambda init, tensor: init.uniform_(tensor, -0.1, 0.1),
    "kaiming by inputs": lambda init, tensor: init.kaiming_normal_(tensor),
    "kaiming by outputs": lambda init, tensor: init.kaiming_uniform_(tensor, mode="fan_out"),
    "xavier": lambda init, tensor: init.xavier_normal_(tensor),
}


@pytest.mark.parametrize("kind", INITIALISERS)
def test_any_usual_law_of_initial_values_comes_out_as_mups_own_initialisers_have_it(kind: str) -> None:
    """A law that the model follows by itself is recognised, so that values are equal, and not close alone."""

    def make(width: int, readout: type[nn.Linear], init: Any) -> nn.Module:
        model = Mlp(width, readout)
        if readout is mup.MuReadout:
            mup.set_base_shapes(model, Mlp(BASE, readout), delta=Mlp(2 * BASE, readout), rescale_params=False)
        torch.manual_seed(width)
        for name in ("first", "middle", "readout"):
            INITIALISERS[kind](init, model.get_parameter(f"{name}.weight"))
        return model

    theirs = make(WIDE, mup.MuReadout, mup.init)
    ours, base = (make(width, nn.Linear, nn.init) for width in (WIDE, BASE))
    plan(ours, base, parametrization="mup").apply_(ours)
    for name in ("first", "middle", "readout"):
        torch.testing.assert_close(ours.get_parameter(f"{name}.weight"), theirs.get_parameter(f"{name}.weight"))


@pytest.mark.parametrize("density", [1.0, 0.25])
def test_sparse_numbers_are_the_formulas_by_hand(density: float) -> None:
    """Of hidden weights: variance sigma^2 / (m_d m_rho), Adam's rate eta / (m_d m_rho), decay lambda m_d m_rho."""
    sigma, eta, weight_decay, epsilon = 0.02, 3e-3, 0.1, 1e-8

    def make(width: int) -> Mlp:
        model = Mlp(width, nn.Linear)
        for name in ("first", "middle", "readout"):
            nn.init.normal_(model.get_parameter(f"{name}.weight"), std=sigma)
        return model

    torch.manual_seed(0)
    model, base = make(WIDE), make(BASE)
    drawn_values = model.middle.weight.detach().clone()
    hparams = {"learning_rate": eta, "weight_decay": weight_decay}
    planned = plan(model, base, density=density, hparams=hparams)
    planned.apply_(model)
    row = planned["middle.weight"]
    assert (row.m_d, row.m_rho) == (WIDTH, density)
    assert row.learning_rate == pytest.approx(eta / (WIDTH * density))
    assert row.weight_decay == pytest.approx(weight_decay * WIDTH * density)
    assert row.epsilon == pytest.approx(epsilon / WIDTH)
    assert row.init_std == pytest.approx(math.sqrt(sigma**2 / (WIDTH * density)), rel=0.1)
    kept = model.middle.weight != 0
    assert int(kept.sum()) == density * WIDE**2
    torch.testing.assert_close(model.middle.weight[kept], drawn_values[kept] * (WIDTH * density) ** -0.5)
    for name, decay in (("first", weight_decay), ("readout", weight_decay)):
        row = planned[f"{name}.weight"]
        assert (row.m_rho, row.learning_rate, row.weight_decay) == (1, eta, decay)
        assert row.epsilon == pytest.approx(epsilon / WIDTH)
        assert row.init_std == pytest.approx(sigma, rel=0.1)
    for name in ("first", "middle", "readout"):
        row = planned[f"{name}.bias"]
        assert (row.m_rho, row.learning_rate, row.weight_decay) == (1, eta, 0)
    (hook,) = planned.multipliers
    assert (hook.module, hook.side, hook.factor) == ("readout", "input", 1 / WIDTH)
