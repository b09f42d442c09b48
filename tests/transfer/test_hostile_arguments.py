"""Arguments that cannot be used: one clear error each, and nothing has changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import plan
from tests.transfer.networks import batch, make, planned, same, state, train

RATE = {"learning_rate": 0.1}
EYE = torch.eye(32, dtype=torch.bool)


def _refused(call: Callable[[], object], pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def _plan_is_refused(pattern: str, **arguments: Any) -> None:
    network = make("mlp", 32)
    before = state(network)
    _refused(lambda: plan(network, make("mlp", 16), **arguments), pattern)
    assert same(state(network), before)


@pytest.mark.parametrize(
    ("density", "pattern"),
    [
        (0, r"must lie in \(0, 1\]"),
        (0.0, r"must lie in \(0, 1\]"),
        (math.nan, r"must lie in \(0, 1\]"),
        (math.inf, r"must lie in \(0, 1\]"),
        (-1, r"must lie in \(0, 1\]"),
        (2, r"must lie in \(0, 1\]"),
        ("0", r"must lie in \(0, 1\]"),
        ("nan", r"must lie in \(0, 1\]"),
        ("erk:0", r"must lie in \(0, 1\]"),
        ("block8:2", r"must lie in \(0, 1\]"),
        (True, "is no density"),
        (None, "is no density"),
        ([0.5], "is no density"),
        ("", "is no density"),
        ("abc", "is no density"),
        (":", "is no density"),
        ("erk", "is no density"),
        ("2:4:0.3", "one density too many"),
        ("block7:0.1", "block7|7"),
        ("block0:0.1", "block"),
        ("2:5", "does not divide a fan-in of 32"),
        ("0:4", "must keep from 1 to all of a group"),
        ("5:4", "must keep from 1 to all of a group"),
        ("given:0.5", "given"),
        ("found:0.5", "found"),
        ("diagonal:0.5", "diagonal"),
        ({"*nothing*": 0.5}, "matches no parameter"),
        ({"first.*": 0.5}, "matches no hidden weights"),
        ({"head.weight": 0.5}, "matches no hidden weights"),
        ({"blocks.*": {"*": 0.5}}, "is no density"),
        ({"blocks.*": math.nan}, r"density\[blocks\.\*\]=nan: must lie in"),
    ],
    ids=str,
)
def test_densities_that_cannot_be_are_refused(density: Any, pattern: str) -> None:
    _plan_is_refused(pattern, density=density)


@pytest.mark.parametrize(
    ("name", "mask", "pattern"),
    [
        ("blocks.0.weight", EYE[:16], r"must be a boolean tensor of shape \(32, 32\)"),
        ("blocks.0.weight", EYE.flatten(), "must be a boolean tensor"),
        ("blocks.0.weight", EYE.float(), "must be a boolean tensor"),
        ("blocks.0.weight", EYE.tolist(), "must be a boolean tensor"),
        ("blocks.0.weight", None, "must be a boolean tensor"),
        ("blocks.0.weight", ~(EYE | ~EYE), "leaves no weight"),
        ("blocks.0.weight", EYE.to("meta"), "is on the meta device"),
        ("blocks.9.weight", EYE, "is no parameter"),
        ("blocks.*", EYE, "is no parameter"),
        ("norm.weight", torch.ones(32, dtype=torch.bool), "is no hidden weight"),
        ("head.weight", torch.ones(5, 32, dtype=torch.bool), "is no hidden weight"),
    ],
)
def test_masks_that_do_not_fit_are_refused(name: str, mask: Any, pattern: str) -> None:
    _plan_is_refused(pattern, masks={name: mask})


@pytest.mark.parametrize(
    ("roles", "pattern"),
    [
        ({"head.weight": "output"}, "is not one of embedding, hidden, readout, vector"),
        ({"head.weight": ("output", 0)}, "is not one of"),
        ({"head.weight": None}, "is not one of"),
        ({"*nothing*": "hidden"}, "matches no parameter"),
        ({"head.weight": ("hidden", 2)}, r"is no axis of head\.weight"),
        ({"head.weight": ("hidden", -3)}, r"is no axis of head\.weight"),
        ({"head.weight": ("hidden", 0.5)}, r"is no role and no \(role, axis\)"),
        ({"head.weight": ("hidden", True)}, r"is no role and no \(role, axis\)"),
        ({"head.weight": ("hidden",)}, r"is no role and no \(role, axis\)"),
        ({"head.weight": ("hidden", 1, 0)}, r"is no role and no \(role, axis\)"),
        ({"norm.weight": "hidden"}, "is no matrix; say 'vector'"),
        ({"norm.weight": ("readout", 0)}, "is no matrix; say 'vector'"),
    ],
    ids=str,
)
def test_roles_that_cannot_be_are_refused(roles: Any, pattern: str) -> None:
    _plan_is_refused(pattern, roles=roles)


@pytest.mark.parametrize(
    ("hparams", "pattern"),
    [
        ({"learning_rat": 0.1}, r"hparams\.learning_rat=.*learning_rate"),
        ({"learning_rate": -0.1}, "must be finite and not negative"),
        ({"learning_rate": 0}, "must be positive"),
        ({"learning_rate": math.nan}, "must be finite"),
        ({"output_multiplier": math.inf}, "must be finite"),
        ({"learning_rate": "0.1"}, "must be finite"),
        ({"init_scale": None}, "must be finite"),
        ({"init_std": 0.02}, "is for networks of this package"),
        ({7: 0.02}, "is no base hyperparameter"),
        (0.1, "is no mapping and no path"),
        (["learning_rate"], "is no mapping and no path"),
        ("no/such/file.yaml", "cannot be read"),
    ],
    ids=str,
)
def test_hyperparameters_that_cannot_be_are_refused(hparams: Any, pattern: str) -> None:
    _plan_is_refused(pattern, hparams=hparams)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"learning_rate: !!python/object/apply:os.system ['true']\n", "is not plain YAML"),
        (b"learning_rate: &a [*a]\n", "a value contains itself"),
        (b"\xff\xfe\x00", "is no text"),
        (b"", "holds no base hyperparameters"),
        (b"- 0.1\n", "holds no base hyperparameters"),
        (b"hparams:\n", "holds no base hyperparameters"),
        (b"learning_rate: 0.1\nlearning_rate: 0.2\n", "is not plain YAML"),
        (b"learning_rat: 0.1\n", "is no base hyperparameter"),
        (b"init_scale:\n", "must be finite"),
        (b"[" * 5000, "is not plain YAML"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_files_of_hyperparameters_that_cannot_be_are_refused(content: bytes, pattern: str, tmp_path: Path) -> None:
    (tmp_path / "tuned.yaml").write_bytes(content)
    _plan_is_refused(pattern, hparams=tmp_path / "tuned.yaml")
    _plan_is_refused("cannot be read", hparams=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ({"optimizer": "adam"}, "is not one of adamw, sgd"),
        ({"parametrization": "ntk"}, "ntk"),
        ({"sample": torch.ones(4, 3)}, "the base does not run with it"),
        ({"sample": "text"}, "the base does not run with it"),
        ({"sample": {"y": torch.ones(4, 6)}}, "the base does not run with it"),
        ({"sample": (torch.ones(4, 6), torch.ones(4, 6))}, "the base does not run with it"),
    ],
    ids=str,
)
def test_other_arguments_that_cannot_be_are_refused(arguments: Any, pattern: str) -> None:
    _plan_is_refused(pattern, **arguments)


class Uncopied(nn.Module):
    """Cannot be copied, and runs into an error whose message has two lines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = make("mlp", width)

    def __deepcopy__(self, memo: object) -> Uncopied:
        raise RuntimeError("one line\nand another")

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("one line\nand another")


def test_bases_that_cannot_be_copied_or_run_are_refused_in_one_line() -> None:
    _refused(lambda: plan(Uncopied(32), Uncopied(16), sample=torch.ones(4, 6)), "the base cannot be copied")
    plan(Uncopied(32), Uncopied(16), density=0.5)


def test_plans_go_onto_no_other_network() -> None:
    made = plan(make("mlp", 32), make("mlp", 16), hparams=RATE)
    others: list[Any] = [make("mlp", 24), make("transformer", 32), nn.Sequential(make("mlp", 32))]
    flat = make("mlp", 32)
    flat.blocks[0].weight = nn.Parameter(torch.ones(1024))
    for other in [*others, flat]:
        before = state(other)
        _refused(lambda: made.apply_(other), "plan")  # noqa: B023
        assert same(state(other), before)


def test_plans_go_onto_no_wrapped_network_and_under_no_second_plan() -> None:
    network = make("mlp", 32)
    made = plan(network, make("mlp", 16), density=0.25, hparams=RATE)
    compiled: Any = torch.compile(network, backend="eager")
    _refused(lambda: made.apply_(compiled), "apply the plan before anything wraps the model")
    _refused(lambda: made.apply_(nn.DataParallel(network)), "apply the plan before anything wraps the model")
    made.apply_(network)
    before = state(network)
    for again in (made, plan(network, make("mlp", 16), hparams=RATE)):
        for wrapped in (network, compiled, nn.Sequential(network)):
            _refused(lambda: again.apply_(wrapped), "has a plan applied already")  # noqa: B023
    assert same(state(network), before)


def test_groups_want_the_plan_applied_and_the_network_that_was_planned() -> None:
    made, network = planned()
    _refused(lambda: made.groups(make("mlp", 32)), "has no plan applied")
    _, other = planned(density=0.5)
    _refused(lambda: made.groups(other), "has another plan applied")
    network.extra = nn.Linear(32, 4)
    _refused(lambda: made.groups(network), r"extra\.weight: is not in the plan")


def test_optimizers_without_groups_of_the_plan_are_refused() -> None:
    made, network = planned()
    _refused(lambda: made.check(torch.optim.AdamW(network.parameters())), r"was not made by plan\.groups")
    _refused(lambda: made.update_(network, torch.optim.AdamW(network.parameters())), r"was not made by plan\.groups")
    optimizer = torch.optim.AdamW(made.groups(network))
    optimizer.add_param_group({"params": [("odd", nn.Parameter(torch.zeros(1)))]})
    _refused(lambda: made.check(optimizer), r"group of odd.*was not made by plan\.groups")
    _refused(lambda: made.update_(network, optimizer), r"was not made by plan\.groups")
    emptied = torch.optim.AdamW(made.groups(network))
    emptied.param_groups.clear()
    _refused(lambda: made.check(emptied), "has no parameters")
    other, theirs = planned("transformer")
    _refused(lambda: made.check(torch.optim.AdamW(other.groups(theirs))), "is not in the plan")


def test_states_of_optimizers_are_not_touched_by_a_refusal() -> None:
    made, network = planned()
    optimizer = torch.optim.AdamW(made.groups(network))
    train(network, optimizer, "mlp", range(1))
    before, rates = state(network), [group["lr"] for group in optimizer.param_groups]
    other, _ = planned(density=0.5)
    _refused(lambda: other.update_(network, optimizer), "has not this plan applied")
    assert same(state(network), before)
    assert [group["lr"] for group in optimizer.param_groups] == rates
    assert network(batch("mlp")).isfinite().all()
