"""The sparse layer: the textbook's function and gradients, zeros that stay zero, masks that travel along."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from smupar_transfer.records import MaskKind
from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.theory import InputError


def layer(density: float = 0.3, seed: int = 0, bias: bool = True, shape: tuple[int, int] = (12, 20)) -> SparseLinear:
    made = SparseLinear(shape[1], shape[0], bias=bias, density=density)
    made.draw_mask(named_generator(seed, "mask", "w"))
    made.set_weight(torch.randn(shape, generator=named_generator(seed, "weight", "w")))
    if made.bias is not None:
        nn.init.normal_(made.bias, generator=named_generator(seed, "weight", "b"))
    return made


def textbook(module: SparseLinear, inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output and gradients of weight * mask, with a loss that weighs every output differently."""
    weight = module.dense_weight().detach().clone().requires_grad_()
    inputs = inputs.detach().clone().requires_grad_()
    bias = None if module.bias is None else module.bias.detach().clone().requires_grad_()
    output = F.linear(inputs, weight * module.mask, bias)
    weighed(output).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert inputs.grad is not None
    gradients = {"weight": weight.grad, "inputs": inputs.grad}
    if bias is not None:
        assert bias.grad is not None
        gradients["bias"] = bias.grad
    return output.detach(), gradients


def weighed(output: Tensor) -> Tensor:
    return (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum()


@pytest.mark.parametrize("leading", [(7,), (2, 5), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_output_and_gradients_are_the_textbooks(leading: tuple[int, ...], bias: bool, density: float) -> None:
    module = layer(density, bias=bias).double()
    inputs = torch.randn(*leading, 20, dtype=torch.float64, requires_grad=True)
    output = module(inputs)
    weighed(output).backward()  # type: ignore[no-untyped-call]
    expected, gradients = textbook(module, inputs)
    torch.testing.assert_close(output.detach(), expected)
    torch.testing.assert_close(inputs.grad, gradients["inputs"])
    torch.testing.assert_close(module.weight.grad, gradients["weight"])
    if module.bias is not None:
        torch.testing.assert_close(module.bias.grad, gradients["bias"])


def test_gradients_are_right_by_finite_differences() -> None:
    module = layer().double()

    def apply(inputs: Tensor, kept: Tensor) -> Tensor:
        weight = torch.zeros(module.shape, dtype=torch.float64).masked_scatter(module.mask, kept)
        return module.backend.linear(inputs, weight, None)

    inputs = torch.randn(3, 20, dtype=torch.float64, requires_grad=True)
    kept = module.dense_weight().detach()[module.mask].requires_grad_()
    assert torch.autograd.gradcheck(apply, (inputs, kept))


def test_inputs_may_be_strided() -> None:
    module = layer()
    inputs = torch.randn(20, 6).T
    torch.testing.assert_close(module(inputs), module(inputs.contiguous()))


def test_without_gradients_and_under_checkpointing_it_is_the_same() -> None:
    module = layer()
    inputs = torch.randn(4, 20, requires_grad=True)
    expected = module(inputs)
    with torch.no_grad():
        assert torch.equal(module(inputs), expected)
    weighed(checkpoint(module, inputs, use_reentrant=False)).backward()  # type: ignore[no-untyped-call]
    assert module.weight.grad is not None
    again = module.weight.grad.clone()
    module.zero_grad()
    weighed(module(inputs)).backward()  # type: ignore[no-untyped-call]
    assert torch.equal(module.weight.grad, again)


def optimizers(parameters: list[Tensor]) -> list[torch.optim.Optimizer]:
    return [
        torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5, fused=True),
        torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.5, foreach=True),
        torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.5),
    ]


@pytest.mark.parametrize("which", range(3))
def test_no_optimizer_revives_a_weight(which: int) -> None:
    module = layer()
    optimizer = optimizers([module.weight])[which]
    before = module.dense_weight().detach().clone()
    for _ in range(20):
        optimizer.zero_grad()
        (module(torch.randn(8, 20)) ** 2).sum().backward()
        optimizer.step()
    off = ~module.mask
    assert not module.dense_weight()[off].any()
    assert not torch.equal(module.dense_weight(), before)
    for value in optimizer.state[module.weight].values():
        if isinstance(value, Tensor) and value.shape == module.shape:
            assert not value[off].any()


def test_masking_only_at_the_start_revives_weights() -> None:
    """The control of the test above: a dense layer with zeros in it fills them at the first step."""
    module = layer()
    dense = nn.Linear(20, 12)
    dense.weight.data.copy_(module.dense_weight().detach())
    optimizer = optimizers([dense.weight])[0]
    (dense(torch.randn(8, 20)) ** 2).sum().backward()
    optimizer.step()
    assert bool(dense.weight[~module.mask].any())


def test_clipping_sees_the_norm_of_the_weights_that_exist() -> None:
    module = layer(bias=False)
    inputs = torch.randn(9, 20)
    weighed(module(inputs)).backward()  # type: ignore[no-untyped-call]
    _, gradients = textbook(module, inputs)
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), 1e9)
    torch.testing.assert_close(norm, gradients["weight"].norm())
    unmasked = weighed_dense_norm(module, inputs)
    assert float(norm) < 0.9 * unmasked


def weighed_dense_norm(module: SparseLinear, inputs: Tensor) -> float:
    weight = module.dense_weight().detach().clone().requires_grad_()
    weighed(F.linear(inputs, weight)).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    return float(weight.grad.norm())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_trains_alone_around_its_own_mask(duplicate: object) -> None:
    assert callable(duplicate)
    module = layer()
    module(torch.randn(2, 20))  # the backend exists by now
    twin = duplicate(module)
    assert torch.equal(twin.mask, module.mask)
    assert twin.mask.data_ptr() != module.mask.data_ptr()
    before = module.dense_weight().detach().clone()
    weighed(twin(torch.randn(4, 20))).backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(twin.parameters(), lr=1.0).step()
    assert torch.equal(module.dense_weight(), before)
    assert not twin.dense_weight()[~twin.mask].any()


def test_a_checkpoint_brings_its_mask() -> None:
    source, target = layer(seed=0), layer(seed=1)
    assert not torch.equal(source.mask, target.mask)
    target(torch.randn(2, 20))
    target.load_state_dict(source.state_dict())
    assert torch.equal(source.mask, target.mask)
    inputs = torch.randn(5, 20)
    assert torch.equal(source(inputs), target(inputs))
    weighed(target(inputs)).backward()  # type: ignore[no-untyped-call]
    assert target.weight.grad is not None
    assert not target.weight.grad[~source.mask].any()


@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_without_its_mask_is_refused(strict: bool) -> None:
    state = {name: value for name, value in layer().state_dict().items() if name != "mask"}
    with pytest.raises(RuntimeError, match="mask is missing: a sparse layer cannot be restored without its mask"):
        layer().load_state_dict(state, strict=strict)


def test_dense_weights_in_a_checkpoint_are_masked() -> None:
    module = layer()
    state = {**module.state_dict(), "weight": torch.ones(module.shape)}
    module.load_state_dict(state)
    assert torch.equal(module.dense_weight(), module.mask.float())


def test_an_unknown_backend_is_refused_by_key() -> None:
    module = SparseLinear(4, 4, density=0.5, backend="nonsense")
    module.draw_mask(named_generator(0, "mask", "w"))
    with pytest.raises(InputError, match=r"sparsity\.backend=nonsense"):
        module(torch.randn(1, 4))


def test_density_is_counted_on_the_mask() -> None:
    module = SparseLinear(40, 50, density=0.1, mask_kind=MaskKind.BERNOULLI)
    module.draw_mask(named_generator(0, "mask", "w"))
    assert module.density == float(module.mask.double().mean())
    assert module.density != 0.1
    with torch.device("meta"):
        assert SparseLinear(40, 50, density=0.1).density == pytest.approx(0.1)


def test_its_representation_tells_shape_density_and_backend() -> None:
    assert repr(layer(0.25)) == "SparseLinear(20, 12, density=0.25, backend=masked)"
