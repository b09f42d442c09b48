"""Masked layers of anybody's model, exchanged for sparse ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.sparsity import SparseLinear, change_mask
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan, plan, sparsify_


class Conv1D(nn.Module):
    """As GPT-2 of ``transformers`` has it: the weight is (fan_in, fan_out)."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.nf, self.nx = outputs, inputs
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def network(width: int) -> nn.Sequential:
    torch.manual_seed(width)
    hidden = (nn.Linear(width, 2 * width), nn.ReLU(), Conv1D(width, 2 * width), nn.ReLU())
    return nn.Sequential(nn.Linear(5, width), *hidden, nn.Linear(width, width, bias=False), nn.Linear(width, 3))


def planned() -> tuple[nn.Sequential, Plan]:
    model = network(32)
    made = plan(model, network(8), density=0.25, hparams={"learning_rate": 0.01})
    made.apply_(model)
    return model, made


INPUTS = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backend", ["masked", "csr", "native", "auto"])
def test_the_function_and_its_training_stay(backend: str) -> None:
    model, made = planned()
    sparse = copy.deepcopy(model)
    assert sparsify_(sparse, made, backend) == ["1", "3", "5"]
    assert [name for name, _ in sparse.named_parameters()] == [name for name, _ in model.named_parameters()]
    outputs = []
    for trained in (model, sparse):
        optimizer = torch.optim.AdamW(made.groups(trained))
        made.check(optimizer)
        for _ in range(5):
            trained(INPUTS).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        outputs.append(trained(INPUTS))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-6)
    layer = sparse[3]
    assert isinstance(layer, SparseLinear)
    assert layer.density == 0.25
    assert torch.equal(layer.mask, model.get_buffer("3.weight_mask").T)


def test_dense_layers_and_ends_stay_as_they_are() -> None:
    model, made = planned()
    first, last = model[0], model[6]
    sparsify_(model, made, "masked")
    assert model[0] is first
    assert model[6] is last


def test_rates_follow_a_mask_that_changes_in_a_sparse_layer() -> None:
    model, made = planned()
    sparsify_(model, made, "masked")
    optimizer = torch.optim.AdamW(made.groups(model))
    layer = model[5]
    assert isinstance(layer, SparseLinear)
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[:, :16] = True
    change_mask(layer, mask, optimizer)
    updated = made.update_(model, optimizer)
    assert updated["5.weight"].m_rho == 0.5
    assert updated["5.weight"].learning_rate == pytest.approx(made["5.weight"].learning_rate / 2)  # type: ignore[operator]
    updated.check(optimizer)


def test_a_layer_with_hooks_is_refused_and_nothing_changes() -> None:
    model, made = planned()
    model[5].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="model=5: has hooks"):
        sparsify_(model, made)
    assert not any(isinstance(module, SparseLinear) for module in model)


def test_a_model_without_the_plan_is_refused() -> None:
    _, made = planned()
    with pytest.raises(InputError, match="has not this plan applied"):
        sparsify_(network(32), made)


def test_an_unknown_backend_is_refused() -> None:
    model, made = planned()
    with pytest.raises(InputError, match="nonsense"):
        sparsify_(model, made, "nonsense")
