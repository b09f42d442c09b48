"""Dense models against the ``mup`` package of the authors of arXiv 2203.03466, which decides by shapes alone.

The package's own MLP example and a transformer, then this package's models, parameter by parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import mup
import mup.init
import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.model import GPT, MLP, build, outline, plan_of
from smupar_transfer.records import (
    Activation,
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MLPSpec,
    ModelSpec,
    Positions,
    RunSpec,
    SparsitySpec,
)
from smupar_transfer.theory import (
    MUP,
    SP,
    UPDATE_RULES,
    BaseHyperparameters,
    OptimizerSettings,
    Parametrization,
    Power,
    Role,
    ScaleFactors,
    scale,
)
from smupar_transfer.theory.parametrizations import UNREAD

BASE_WIDTH, WIDTH = 64, 256
NARROW = (BASE_WIDTH, 2 * BASE_WIDTH)  # mup tells growing dimensions by two narrow networks
FACTORS = ScaleFactors(width=WIDTH / BASE_WIDTH)
BASE = BaseHyperparameters(
    learning_rate=0.013, init_std=0.07, input_multiplier=3.0, output_multiplier=1.7, weight_decay=0.11
)
SETTINGS = {name: OptimizerSettings(name=name) for name in UPDATE_RULES}
E, H, R, V = Role.EMBEDDING, Role.HIDDEN, Role.READOUT, Role.VECTOR


class ExampleMLP(nn.Module):
    """As ``examples/MLP`` of the mup package, with biases where all dimensions but the readout's grow."""

    roles: Mapping[str, Role] = {
        "fc_1.weight": E,
        "fc_1.bias": V,
        "fc_2.weight": H,
        "fc_2.bias": V,
        "fc_3.weight": R,
    }

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_1 = nn.Linear(48, width)
        self.fc_2 = nn.Linear(width, width)
        self.fc_3 = mup.MuReadout(width, 10, bias=False, output_mult=BASE.output_multiplier)


class ExampleTransformer(nn.Module):
    """One block with the projections kept apart, as ``examples/Transformer`` of the mup package has them."""

    roles: Mapping[str, Role] = {
        "tokens.weight": E,
        "positions.weight": E,
        **{f"{name}.weight": H for name in ("query", "key", "value", "out", "up", "down")},
        **{f"{name}.bias": V for name in ("query", "key", "value", "out", "up", "down")},
        **{f"{norm}.{leaf}": V for norm in ("norm_1", "norm_2") for leaf in ("weight", "bias")},
        "readout.weight": R,
    }

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(96, width), nn.Embedding(32, width)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.readout = mup.MuReadout(width, 96, bias=False, output_mult=BASE.output_multiplier)


Example = type[ExampleMLP] | type[ExampleTransformer]
EXAMPLES: list[Example] = [ExampleMLP, ExampleTransformer]
by_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda kind: kind.__name__)
MU_OPTIMIZERS: list[tuple[Callable[..., torch.optim.Optimizer], str]] = [
    (mup.MuAdam, "adamw"),
    (mup.MuAdamW, "adamw"),
    (mup.MuSGD, "sgd"),
]
by_optimizer = pytest.mark.parametrize(
    ("mu_optimizer", "optimizer"), MU_OPTIMIZERS, ids=[maker.__name__ for maker, _ in MU_OPTIMIZERS]
)


def with_shapes(example: Example, width: int = WIDTH) -> ExampleMLP | ExampleTransformer:
    network = example(width)
    mup.set_base_shapes(network, example(BASE_WIDTH), delta=example(2 * BASE_WIDTH), rescale_params=False)
    return network


def groups_by_parameter(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(member)]: group for group in optimizer.param_groups for member in group["params"]}


def assigned(network: nn.Module, maker: Callable[..., torch.optim.Optimizer]) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay that mup gives to each parameter."""
    optimizer = maker(network.parameters(), lr=BASE.learning_rate, weight_decay=BASE.weight_decay)
    groups = groups_by_parameter(network, optimizer)
    return {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()}


def std_ratio(initialiser: Callable[[Tensor], Tensor], parameter: Tensor) -> float:
    """Standard deviation an initialiser of mup draws with, exactly: its draws over those of torch."""
    torch.manual_seed(3)
    reference = torch.nn.init.normal_(torch.empty(parameter.shape))
    torch.manual_seed(3)
    drawn = initialiser(parameter).detach()
    return float((drawn / reference).flatten()[:101].double().median())


def mup_std(parameter: Tensor) -> float:
    return std_ratio(lambda tensor: mup.init.normal_(tensor, std=BASE.init_std), parameter)


def close(computed: float, expected: float) -> bool:
    return math.isclose(computed, expected, rel_tol=1e-6)


def disagreements(
    table: Parametrization,
    example: Example,
    maker: Callable[..., torch.optim.Optimizer],
    optimizer: str,
) -> set[tuple[Role, str]]:
    """Where one row of a table and mup give a parameter different numbers."""
    network = with_shapes(example)
    rates = assigned(network, maker)
    differing = set()
    for name, parameter in network.named_parameters():
        role = example.roles[name]
        ours = scale(table, role, FACTORS, BASE, SETTINGS[optimizer])
        rate, decay = rates[name]
        if not close(ours.learning_rate, rate):
            differing.add((role, "learning_rate"))
        if role is V:  # biases and gains start from constants and are never decayed here
            continue
        if not close(ours.weight_decay, decay):
            differing.add((role, "weight_decay"))
        if not close(ours.init_std, mup_std(parameter)):
            differing.add((role, "init_std"))
    return differing


@by_optimizer
@by_example
def test_the_mup_table_agrees_with_mup_on_every_parameter(
    example: Example, mu_optimizer: Callable[..., torch.optim.Optimizer], optimizer: str
) -> None:
    assert disagreements(MUP, example, mu_optimizer, optimizer) == set()


@by_optimizer
@by_example
def test_the_standard_parametrization_does_not(
    example: Example, mu_optimizer: Callable[..., torch.optim.Optimizer], optimizer: str
) -> None:
    differing = disagreements(SP, example, mu_optimizer, optimizer)
    assert (H, "init_std") in differing
    assert {role for role, quantity in differing if quantity == "learning_rate"} == (
        {H} if optimizer == "adamw" else {E, R, V}
    )


@pytest.mark.parametrize("role", Role)
@by_optimizer
def test_a_wrong_exponent_in_any_row_disagrees(
    mu_optimizer: Callable[..., torch.optim.Optimizer], optimizer: str, role: Role
) -> None:
    column = "adam_learning_rate" if optimizer == "adamw" else "sgd_learning_rate"
    for quantity, noticed in ((column, "learning_rate"), ("init_variance", "init_std")):
        if (role, quantity) in UNREAD:  # vectors have no standard deviation: such a table is refused
            continue
        right = getattr(MUP[role], quantity)
        broken = MUP.with_rule("x", "x", role, **{quantity: right * Power(width=-0.5)})
        differing = disagreements(broken, ExampleTransformer, mu_optimizer, optimizer)
        assert (role, noticed) in differing


def test_coupled_decay_is_not_what_mup_does() -> None:
    """mup's AdamW keeps eta * lambda: this package's independent form."""
    rates = assigned(with_shapes(ExampleMLP), mup.MuAdamW)
    assert rates["fc_2.weight"][1] == BASE.weight_decay * 4
    assert rates["fc_1.weight"][1] == rates["fc_3.weight"][1] == BASE.weight_decay


INITIALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda tensor: mup.init.normal_(tensor, std=0.07),
    "kaiming": lambda tensor: mup.init.kaiming_normal_(tensor, a=1.0),
    "xavier": lambda tensor: mup.init.xavier_normal_(tensor),
}


@pytest.mark.parametrize("kind", INITIALISERS)
@by_example
def test_all_of_mups_initialisers_scale_a_role_alike(example: Example, kind: str) -> None:
    """Wherever an initialiser starts, width changes it by the square root of the rule."""
    target, base = with_shapes(example, WIDTH), with_shapes(example, BASE_WIDTH)
    for (name, wide), (_, narrow) in zip(target.named_parameters(), base.named_parameters(), strict=True):
        if example.roles[name] is V:
            continue
        realised = std_ratio(INITIALISERS[kind], wide) / std_ratio(INITIALISERS[kind], narrow)
        expected = math.sqrt(MUP[example.roles[name]].init_variance.at(FACTORS))
        assert realised == pytest.approx(expected, rel=1e-5), name
        assert realised == pytest.approx(1.0 if example.roles[name] is not H else 0.5, rel=1e-5), name


@by_example
def test_readout_multiplier(example: Example) -> None:
    network = with_shapes(example)
    readout = network.fc_3 if isinstance(network, ExampleMLP) else network.readout
    ours = scale(MUP, R, FACTORS, BASE, SETTINGS["adamw"]).forward_multiplier
    assert ours == readout.output_mult / readout.width_mult()
    features = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(readout(features), ours * features @ readout.weight.T)
    assert scale(SP, R, FACTORS, BASE, SETTINGS["adamw"]).forward_multiplier != ours


MODELS: dict[str, ModelSpec] = {
    "mlp": MLPSpec(WIDTH, depth=2, features=48, classes=10, bias=False),
    "mlp with biases": MLPSpec(WIDTH, depth=2, features=48, classes=10, bias=True),
    "gpt": GPTSpec(WIDTH, depth=1, head_dim=32, vocab_size=96, context=32, tied=False),
    "gpt with biases": GPTSpec(WIDTH, depth=1, head_dim=32, vocab_size=96, context=32, tied=False, bias=True),
    "gpt swiglu alibi": GPTSpec(
        WIDTH, 1, 32, 96, 32, activation=Activation.SWIGLU, positions=Positions.ALIBI, tied=False
    ),
    "gpt tied": GPTSpec(WIDTH, depth=1, head_dim=32, vocab_size=96, context=32, tied=True),
}


def run_of(model: ModelSpec, optimizer: str, parametrization: str = "mup") -> RunSpec:
    return RunSpec(
        model=model,
        base_width=BASE_WIDTH,
        sparsity=SparsitySpec(),
        parametrization=parametrization,
        hparams=BASE,
        optimizer=SETTINGS[optimizer],
        data=DataSpec("digits", "0" * 64, 100, 100, bytes_per_token=None),
        budget=BudgetSpec(steps=1, batch_size=1),
    )


def with_own_shapes(network: nn.Module, spec: RunSpec) -> None:
    narrow, between = (outline(replace(spec, model=replace(spec.model, width=width))) for width in NARROW)
    # Its assertion wants readouts to be its own class; what it does with them is compared output for output.
    mup.set_base_shapes(network, narrow, delta=between, rescale_params=False, do_assert=False)


def rate_disagreements(spec: RunSpec, maker: Callable[..., torch.optim.Optimizer]) -> set[tuple[str, str]]:
    """Plan rows of this package's own network where mup, seeing the same shapes, has other rates."""
    network = outline(spec)
    with_own_shapes(network, spec)
    rates = assigned(network, maker)
    differing = set()
    for row in plan_of(network, spec):
        rate, decay = rates.pop(row.name)
        if not close(row.learning_rate, rate):
            differing.add((row.name, "learning_rate"))
        if row.role is not V and not close(row.weight_decay, decay):
            differing.add((row.name, "weight_decay"))
    assert rates == {}
    return differing


def weight_disagreements(spec: RunSpec) -> set[tuple[str, str]]:
    """Parameters of this package's own network that mup would draw from another distribution."""
    network, plan = build(spec)
    values = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    with_own_shapes(network, spec)
    differing = set()
    for row in plan:
        if row.role is V:
            continue
        std = mup_std(network.get_parameter(row.name))
        if not close(row.init_std, std):
            differing.add((row.name, "planned"))
        if not math.isclose(float(values[row.name].std()), std, rel_tol=0.05):
            differing.add((row.name, "drawn"))
    return differing


@by_optimizer
@pytest.mark.parametrize("model", MODELS)
def test_own_models_learn_at_mups_rates_parameter_by_parameter(
    model: str, mu_optimizer: Callable[..., torch.optim.Optimizer], optimizer: str
) -> None:
    """Biases of a readout are the odd ones out: no dimension of theirs grows, so mup leaves their rate alone."""
    assert rate_disagreements(run_of(MODELS[model], optimizer), mu_optimizer) == set()


@pytest.mark.parametrize("model", MODELS)
def test_own_models_start_from_mups_distributions_parameter_by_parameter(model: str) -> None:
    assert weight_disagreements(run_of(MODELS[model], "adamw")) == set()


@pytest.mark.parametrize("model", ["mlp", "gpt"])
def test_own_models_under_sp_disagree_with_mup(model: str) -> None:
    spec = run_of(MODELS[model], "adamw", "sp")
    hidden = {row.name for row in plan_of(outline(spec), spec) if row.role is H}
    assert hidden
    both = {(name, quantity) for name in hidden for quantity in ("learning_rate", "weight_decay")}
    assert rate_disagreements(spec, mup.MuAdamW) == both
    assert weight_disagreements(spec) == {(name, how) for name in hidden for how in ("planned", "drawn")}


def mup_logits(network: MLP, inputs: Tensor, output_mult: float) -> Tensor:
    """The network's weights run through mup's readout."""
    readout = mup.MuReadout(WIDTH, 10, output_mult=output_mult)
    narrow, between = (mup.MuReadout(width, 10) for width in NARROW)
    mup.set_base_shapes(readout, narrow, delta=between, rescale_params=False)
    readout.load_state_dict(network.readout.state_dict())
    x = torch.relu(network.input(inputs) * BASE.input_multiplier)
    for layer in network.hidden:
        x = torch.relu(layer(x))
    logits: Tensor = readout(x)
    return logits


def test_own_mlp_computes_what_mup_computes() -> None:
    network, _ = build(run_of(MODELS["mlp with biases"], "adamw"))
    assert isinstance(network, MLP)
    torch.nn.init.normal_(network.readout.bias, generator=torch.Generator().manual_seed(2))
    inputs = torch.randn(7, 48, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(inputs), mup_logits(network, inputs, BASE.output_multiplier))
    assert not torch.allclose(network(inputs), mup_logits(network, inputs, 4 * BASE.output_multiplier))


def test_tied_gpt_multiplies_logits_as_mups_shared_readout_does() -> None:
    network, _ = build(run_of(MODELS["gpt tied"], "adamw"))
    shared = mup.MuSharedReadout(nn.Embedding(96, WIDTH).weight, bias=False, output_mult=BASE.output_multiplier)
    narrow, between = (mup.MuSharedReadout(nn.Embedding(96, width).weight, bias=False) for width in NARROW)
    mup.set_base_shapes(shared, narrow, delta=between, rescale_params=False)
    assert isinstance(network, GPT)
    assert network.multipliers.output == shared.output_mult / shared.width_mult()
