"""Folding a plan whose attention has heads of another size than the base's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan, plan

INPUTS = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))


class Attention(nn.Module):
    """As those of ``transformers``: projections of their own, and a ``scaling`` that its code makes."""

    def __init__(self, width: int, queries: str, *, is_normalised: bool = False) -> None:
        super().__init__()
        self.head_dim, self.scaling, self.queries = width // 2, (width // 2) ** -0.5, queries
        for name in (queries, "k_proj", "v_proj", "o_proj"):
            self.add_module(name, nn.Linear(width, width))
        if is_normalised:
            self.q_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        queries = self.get_submodule(self.queries)(hidden)
        if hasattr(self, "q_norm"):
            queries = self.get_submodule("q_norm")(queries)
        shape = (*hidden.shape[:-1], 2, self.head_dim)
        keys, values = self.get_submodule("k_proj")(hidden), self.get_submodule("v_proj")(hidden)
        keys, values = self.get_submodule("k_proj")(hidden), self.get_submodule("v_proj")(hidden)
        query, key, value = (each.view(shape).transpose(1, 2) for each in (queries, keys, values))
        scores = (query @ key.transpose(-1, -2) * self.scaling).softmax(-1)
        out: Tensor = self.get_submodule("o_proj")((scores @ value).transpose(1, 2).reshape(hidden.shape))
        return out


def network(width: int, queries: str = "q_proj", *, is_normalised: bool = False) -> nn.Sequential:
    torch.manual_seed(width)
    attention = Attention(width, queries, is_normalised=is_normalised)
    return nn.Sequential(nn.Linear(8, width), attention, nn.Linear(width, 3))


def planned(model: nn.Module, base: nn.Module) -> Plan:
    made = plan(model, base, density=0.5)
    assert made.attention == {"1": pytest.approx(0.5)}  # heads are 4 times as large: 4 ** -1 in place of 4 ** -1/2
    made.apply_(model)
    return made


def test_a_folded_model_computes_the_same_from_its_weights_alone() -> None:
    """What is left is what ``network`` makes: its state, in a new one, is the same function."""
    model = network(64)
    made = planned(model, network(16))
    expected = model(INPUTS)
    made.fold_(model)
    torch.testing.assert_close(model(INPUTS), expected)
    again = network(64)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(INPUTS), expected)
    assert model[1].scaling == pytest.approx(again[1].scaling)


def test_a_wrapped_model_is_folded_as_well() -> None:
    model = network(64)
    made = planned(model, network(16))
    wrapped = nn.Module()
    wrapped.module = model
    expected = model(INPUTS)
    made.fold_(wrapped)
    torch.testing.assert_close(model(INPUTS), expected)
    assert model[1].scaling == pytest.approx(32**-0.5)


@pytest.mark.parametrize(
    "other", [{"queries": "in_proj"}, {"is_normalised": True}], ids=["queries elsewhere", "queries normalised"]
)
def test_where_no_weights_can_take_the_factor_nothing_changes(other: dict[str, object]) -> None:
    model = network(64, **other)  # type: ignore[arg-type]
    made = planned(model, network(16, **other))  # type: ignore[arg-type]
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=r"1\.scaling: is 0\.5 times .* no query weights can take that"):
        made.fold_(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    made.check(torch.optim.AdamW(made.groups(model, learning_rate=0.01)))  # the plan is still applied
