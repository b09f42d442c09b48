"""Parameter groups follow the plan, and the schedule follows the budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smupar_transfer.model import build
from smupar_transfer.records import BudgetSpec, Decay, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.sparsity import SparseLinear, change_mask
from smupar_transfer.theory import (
    UPDATE_RULES,
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Role,
    UpdateRule,
    UpdateSize,
    like_adam,
    update_rules,
)
from smupar_transfer.training import TokenData, make_optimizer, register_optimizer, run, schedule
from smupar_transfer.training import optimizer as optimizers
from smupar_transfer.training.optimizer import set_learning_rates
from smupar_transfer.transfer import ParameterPlan, parameter_groups

ADAMW = OptimizerSettings(beta1=0.8, beta2=0.9)
SGD = OptimizerSettings(name="sgd", momentum=0.9)


@pytest.fixture(scope="module")
def wide(spec: RunSpec) -> RunSpec:
    """Far from the proxy and with every role, so that no two roles share all of their values."""
    return replace(
        spec,
        model=GPTSpec(width=32, depth=2, head_dim=8, vocab_size=16, context=16, tied=False, bias=True),
        sparsity=SparsitySpec(0.125),
        hparams=BaseHyperparameters(0.01, 0.1, 2.0, 3.0, weight_decay=0.5),
    )


@pytest.fixture
def built(wide: RunSpec) -> tuple[nn.Module, tuple[ParameterPlan, ...]]:
    return build(wide)


def zero_gradient_steps(network: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    for _ in range(count):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()


def members(groups: list[dict[str, Any]]) -> list[nn.Parameter]:
    return [parameter for group in groups for parameter in group["params"]]


def test_every_parameter_is_in_exactly_one_group(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    network, plan = built
    grouped = members(parameter_groups(network, plan))
    assert len(grouped) == len(plan)
    assert {id(parameter) for parameter in grouped} == {id(parameter) for parameter in network.parameters()}


def test_groups_hold_the_values_of_the_plan(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    network, plan = built
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {
        names[id(parameter)]: (group["lr"], group["peak_learning_rate"], group["weight_decay"], group["eps"])
        for group in make_optimizer(network, plan, ADAMW).param_groups
        for parameter in group["params"]
    }
    assert groups == {row.name: (row.learning_rate, row.learning_rate, row.weight_decay, row.epsilon) for row in plan}
    assert len(set(groups.values())) > 2, "roles that share all values would hide a mix-up"


def test_equal_values_share_a_group(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    network, plan = built
    values = {(row.learning_rate, row.weight_decay, row.epsilon) for row in plan}
    assert len(parameter_groups(network, plan)) == len(values) < len(plan)


def test_a_parameter_without_a_plan_is_named(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    network, plan = built
    left_out = [row for row in plan if row.name != "blocks.1.mlp.up.weight"]
    with pytest.raises(KeyError, match=r"not in the plan: blocks\.1\.mlp\.up\.weight"):
        parameter_groups(network, left_out)


@pytest.mark.parametrize("change", ["absent", "twice"])
def test_a_plan_that_does_not_fit_is_an_error(built: tuple[nn.Module, tuple[ParameterPlan, ...]], change: str) -> None:
    network, plan = built
    extra = plan[0] if change == "twice" else replace(plan[0], name="nowhere.weight")
    with pytest.raises(KeyError, match=extra.name):
        parameter_groups(network, [*plan, extra])


def test_adamw_has_the_settings_betas(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    optimizer = make_optimizer(*built, ADAMW)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.9)}


def test_sgd_has_the_settings_momentum_and_no_epsilon(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    optimizer = make_optimizer(*built, SGD)
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    assert not any("eps" in group for group in optimizer.param_groups)


@pytest.mark.parametrize("optimizer_settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_vectors_are_never_decayed_and_matrices_are(wide: RunSpec, optimizer_settings: OptimizerSettings) -> None:
    network, plan = build(replace(wide, optimizer=optimizer_settings))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)  # biases start at zero, where decay would not show
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    zero_gradient_steps(network, make_optimizer(network, plan, optimizer_settings), 3)
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {row.name for row in plan if row.role is not Role.VECTOR}


@pytest.mark.parametrize("optimizer_settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_weight_decay_is_decoupled(wide: RunSpec, optimizer_settings: OptimizerSettings) -> None:
    network, plan = build(replace(wide, optimizer=optimizer_settings))
    row = next(row for row in plan if row.name == "tokens.weight")
    before = network.get_parameter("tokens.weight").detach().clone()
    zero_gradient_steps(network, make_optimizer(network, plan, optimizer_settings), 3)
    expected = before * (1 - row.learning_rate * row.weight_decay) ** 3
    torch.testing.assert_close(network.get_parameter("tokens.weight").detach(), expected, rtol=1e-6, atol=0)


def test_rates_are_set_relative_to_each_groups_peak(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    optimizer = make_optimizer(*built, ADAMW)
    peaks = [group["lr"] for group in optimizer.param_groups]
    for factor in (0.25, 0.5):  # twice: factors do not pile up
        set_learning_rates(optimizer, factor)
        assert [group["lr"] for group in optimizer.param_groups] == [factor * peak for peak in peaks]


@st.composite
def budgets(draw: st.DrawFn) -> BudgetSpec:
    steps = draw(st.integers(1, 400))
    return BudgetSpec(
        steps=steps,
        batch_size=1,
        warmup_steps=draw(st.integers(0, steps)),
        decay=draw(st.sampled_from(Decay)),
        final_fraction=draw(st.sampled_from([0.0, 1.0]) | st.floats(1e-6, 1.0)),
    )


def factors(budget: BudgetSpec) -> list[float]:
    return [schedule(step, budget) for step in range(budget.steps)]


@settings(deadline=None)
@given(budgets())
def test_the_rate_is_positive_and_never_above_its_peak(budget: BudgetSpec) -> None:
    schedule = factors(budget)
    assert all(0 < factor <= 1 for factor in schedule[:-1])
    assert 0 <= schedule[-1] <= 1
    assert schedule[-1] > 0 or budget.final_fraction == 0


@settings(deadline=None)
@given(budgets())
def test_warm_up_rises_evenly_to_the_peak_and_then_nothing_rises(budget: BudgetSpec) -> None:
    schedule, warmup = factors(budget), budget.warmup_steps
    steps = [after - before for before, after in zip([0.0, *schedule], schedule[: warmup + 1], strict=False)]
    assert steps == pytest.approx([1 / (warmup + 1)] * len(steps))
    assert warmup == budget.steps or schedule[warmup] == 1.0
    assert all(after <= before for before, after in zip(schedule[warmup:], schedule[warmup + 1 :], strict=False))


@settings(deadline=None)
@given(budgets().filter(lambda budget: budget.steps > budget.warmup_steps + 1))
def test_the_last_step_has_the_final_fraction(budget: BudgetSpec) -> None:
    last = 1.0 if budget.decay is Decay.NONE else budget.final_fraction
    assert schedule(budget.steps - 1, budget) == pytest.approx(last, abs=1e-12)


def test_shapes_differ_in_the_middle_by_what_their_formulas_say() -> None:
    budget = BudgetSpec(steps=101, batch_size=1, final_fraction=0.2)
    by_decay = {decay: schedule(25, replace(budget, decay=decay)) for decay in Decay}
    cosine = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    assert by_decay == pytest.approx({Decay.LINEAR: 0.8, Decay.COSINE: cosine, Decay.NONE: 1.0})


@pytest.mark.parametrize("optimizer_settings", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_moments_follow_the_mask_or_nothing_moves(wide: RunSpec, optimizer_settings: OptimizerSettings) -> None:
    """SGD decays weights before its step proper: not even that may happen."""
    network, plan = build(replace(wide, optimizer=optimizer_settings), "csr")
    optimizer = make_optimizer(network, plan, optimizer_settings)

    def step() -> None:
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()

    step()
    sparse = next(module for module in network.modules() if isinstance(module, SparseLinear))
    change_mask(sparse, ~sparse.mask, optimizer)
    step()
    sparse.mask = ~sparse.mask
    before = [parameter.detach().clone() for parameter in network.parameters()]
    with pytest.raises(InputError, match="moments for another mask"):
        step()
    assert all(map(torch.equal, before, network.parameters()))


class SignDescent(torch.optim.Optimizer):
    """Moves every weight by its learning rate, whatever the size of its gradient."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(group["lr"] * parameter.grad.sign())


SIGN = UpdateRule("sign", "Sign descent", like_adam, size=UpdateSize.FIXED)


def make_sign(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
    return SignDescent(groups, {})


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(optimizers, "_MAKERS", dict(optimizers._MAKERS))
    monkeypatch.setattr(update_rules, "_RULES", dict(update_rules._RULES))


def test_every_rule_of_the_package_has_its_optimizer() -> None:
    assert optimizers._MAKERS.keys() == UPDATE_RULES.keys()


@pytest.mark.usefixtures("clean")
def test_a_registered_optimizer_gets_the_groups_of_the_plan(wide: RunSpec) -> None:
    register_optimizer(SIGN, make_sign)
    spec = replace(wide, optimizer=OptimizerSettings("sign"))
    network, plan = build(spec)
    made = make_optimizer(network, plan, spec.optimizer)
    assert isinstance(made, SignDescent)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in made.param_groups for p in g["params"]}
    assert found == {row.name: (row.learning_rate, row.weight_decay) for row in plan}
    assert not any("eps" in group for group in made.param_groups), "a rule that reads no epsilon gets none"
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, -7.0)
    made.step()
    for row in plan:
        expected = before[row.name] * (1 - row.learning_rate * row.weight_decay) + row.learning_rate
        torch.testing.assert_close(network.get_parameter(row.name).detach(), expected)


@pytest.mark.usefixtures("clean")
def test_a_rule_that_reads_epsilon_gets_it(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    register_optimizer(replace(SIGN, reads=frozenset({"epsilon"})), make_sign)
    made = make_optimizer(*built, OptimizerSettings("sign"))
    assert {group["eps"] for group in made.param_groups} == {row.epsilon for row in built[1]}


@pytest.mark.usefixtures("clean")
def test_a_run_trains_by_a_registered_optimizer(spec: RunSpec, corpus: TokenData) -> None:
    register_optimizer(SIGN, make_sign)
    hparams = replace(spec.hparams, learning_rate=2.0**-9)
    record = run(replace(spec, optimizer=OptimizerSettings("sign"), hparams=hparams), corpus)
    losses = [evaluation.validation_loss or math.inf for evaluation in record.history]
    assert losses[-1] < losses[0]


@pytest.mark.usefixtures("clean")
def test_an_optimizer_is_registered_once() -> None:
    register_optimizer(SIGN, make_sign)
    register_optimizer(SIGN, make_sign)  # a module may be imported twice
    with pytest.raises(ValueError, match="there is another optimizer 'sign' already"):
        register_optimizer(SIGN, optimizers._sgd)
    with pytest.raises(ValueError, match="there is another update rule 'sign' already"):
        register_optimizer(replace(SIGN, title="Other"), make_sign)
    with pytest.raises(ValueError, match="there is another optimizer 'adamw' already"):
        register_optimizer(UPDATE_RULES["adamw"], make_sign)
    assert optimizers._MAKERS["sign"] is make_sign
    assert optimizers._MAKERS["adamw"] is optimizers._adamw


@pytest.mark.usefixtures("clean")
def test_what_is_refused_leaves_nothing_behind() -> None:
    with pytest.raises(ValueError, match="is no name for an update rule"):
        register_optimizer(replace(SIGN, name="a-b"), make_sign)
    assert "a-b" not in optimizers._MAKERS


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    "change",
    [
        lambda groups: groups[1:],
        lambda groups: [{**group, "lr": 0.1} for group in groups],
        lambda groups: [{"params": group["params"], "lr": group["lr"], "weight_decay": 0.0} for group in groups],
    ],
    ids=["a group is dropped", "rates are others", "peaks are dropped"],
)
def test_an_optimizer_that_departs_from_the_plan_is_refused(
    built: tuple[nn.Module, tuple[ParameterPlan, ...]], change: Callable[[Any], Any]
) -> None:
    register_optimizer(SIGN, lambda groups, settings: SignDescent(change(groups), {}))
    said = r"^optimizer\.name=sign: does not train every parameter at its planned learning rate; let it pass"
    with pytest.raises(InputError, match=said):
        make_optimizer(*built, OptimizerSettings("sign"))


@pytest.mark.usefixtures("clean")
def test_an_optimizer_may_divide_groups(built: tuple[nn.Module, tuple[ParameterPlan, ...]]) -> None:
    def divided(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
        return SignDescent([{**group, "params": [p]} for group in groups for p in group["params"]], {})

    register_optimizer(SIGN, divided)
    assert len(make_optimizer(*built, OptimizerSettings("sign")).param_groups) == len(built[1])
