"""The sparse layer: the textbook's function and gradients, zeros that stay zero, masks that travel along."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from smupar_transfer.records import MaskKind
from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.theory import InputError

Shape = tuple[int, int]
Duplicate = Callable[[SparseLinear], SparseLinear]
OPTIMIZERS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "adamw_fused": partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5, fused=True),
    "adamw_foreach": partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5, foreach=True),
    "sgd": partial(torch.optim.SGD, lr=1e-3, momentum=0.9, weight_decay=0.5),
    "sgd_fused": partial(torch.optim.SGD, lr=1e-3, momentum=0.9, weight_decay=0.5, fused=True),
}


def layer(density: float = 0.3, seed: int = 0, bias: bool = True, shape: Shape = (12, 20)) -> SparseLinear:
    made = SparseLinear(shape[1], shape[0], bias=bias, density=density)
    made.draw_mask(named_generator(seed, "mask", "w"))
    made.set_weight(torch.randn(shape, generator=named_generator(seed, "weight", "w")))
    if made.bias is not None:
        nn.init.normal_(made.bias, generator=named_generator(seed, "weight", "b"))
    return made


def weighed(output: Tensor) -> Tensor:
    """A loss that weighs every output differently."""
    return (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum()


def with_gradients(function: Callable[..., Tensor], *given: Tensor) -> tuple[Tensor, ...]:
    """Output of a function of tensors, and the gradient of each of them."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    output = function(*leaves)
    return output.detach(), *torch.autograd.grad(weighed(output), leaves)


def compare(module: SparseLinear, inputs: Tensor) -> None:
    """Output and gradients against weight * mask of an ordinary linear layer."""
    parameters = dict(module.named_parameters())

    def ours(inputs: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(module, given, (inputs,))  # type: ignore[no-any-return]

    def textbook(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(inputs, weight * module.mask, bias)

    for computed, expected in zip(
        with_gradients(ours, inputs, *parameters.values()),
        with_gradients(textbook, inputs, *parameters.values()),
        strict=True,
    ):
        torch.testing.assert_close(computed, expected)


@pytest.mark.parametrize("leading", [(7,), (2, 5), (2, 3, 4), ()])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_output_and_gradients_are_the_textbooks(leading: tuple[int, ...], bias: bool, density: float) -> None:
    compare(layer(density, bias=bias).double(), torch.randn(*leading, 20, dtype=torch.float64))


@pytest.mark.parametrize("density", [0.3, 1.0])
def test_inputs_may_be_strided(density: float) -> None:
    compare(layer(density).double(), torch.randn(20, 6, dtype=torch.float64).T)
    compare(layer(density).double(), torch.randn(2, 20, 6, dtype=torch.float64).transpose(1, 2))


@pytest.mark.parametrize("rearrange", [lambda y: y.transpose(0, 1), lambda y: y[:, :1].expand(-1, 5, -1)])
def test_gradients_of_the_output_may_be_strided(rearrange: Callable[[Tensor], Tensor]) -> None:
    module, inputs = layer().double(), torch.randn(4, 5, 20, dtype=torch.float64)
    computed = with_gradients(lambda w: rearrange(module.backend.linear(inputs, w, None)), module.weight)
    expected = with_gradients(lambda w: rearrange(F.linear(inputs, w * module.mask)), module.weight)
    torch.testing.assert_close(computed, expected)


def test_without_gradients_and_under_checkpointing_it_is_the_same() -> None:
    module = layer()
    inputs = torch.randn(4, 20, requires_grad=True)
    expected = module(inputs)
    with torch.no_grad():
        assert torch.equal(module(inputs), expected)
    torch.autograd.backward(weighed(checkpoint(module, inputs, use_reentrant=False)))
    assert module.weight.grad is not None
    again = module.weight.grad.clone()
    module.zero_grad()
    torch.autograd.backward(weighed(module(inputs)))
    assert torch.equal(module.weight.grad, again)


def test_weights_are_taken_where_the_mask_is_and_nowhere_else() -> None:
    module, values = layer(), torch.randn(12, 20)
    module.set_weight(values)
    assert torch.equal(module.dense_weight(), torch.where(module.mask, values, 0.0))
    module.set_weight(torch.ones(12, 20))
    assert torch.equal(module.dense_weight(), module.mask.float())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_revives_a_weight(name: str) -> None:
    module = layer()
    optimizer = OPTIMIZERS[name]([module.weight])
    before, off = module.dense_weight().detach().clone(), ~module.mask
    for _ in range(50):
        optimizer.zero_grad()
        torch.autograd.backward((module(torch.randn(8, 20)) ** 2).sum())
        optimizer.step()
    assert not module.dense_weight()[off].any()
    assert bool((module.dense_weight() != before)[module.mask].all())
    moments = [value for value in optimizer.state[module.weight].values() if value.shape == module.shape]
    assert len(moments) == (1 if name.startswith("sgd") else 2)
    for moment in moments:
        assert not moment[off].any()
        assert bool(moment[module.mask].all())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masking_only_at_the_start_revives_weights(name: str) -> None:
    """The control of the test above: a dense layer with zeros in it fills them at the first step."""
    module, dense = layer(), nn.Linear(20, 12)
    dense.weight.data.copy_(module.dense_weight().detach())
    optimizer = OPTIMIZERS[name]([dense.weight])
    torch.autograd.backward((dense(torch.randn(8, 20)) ** 2).sum())
    optimizer.step()
    assert bool(dense.weight[~module.mask].all())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_trains_as_the_textbook_does_clipping_included(name: str) -> None:
    """Clipping sees the norm of the weights that exist, so that the whole trajectory is the same."""
    module = layer(bias=False).double()
    weight = module.dense_weight().detach().clone().requires_grad_()
    ours, textbook = OPTIMIZERS[name]([module.weight]), OPTIMIZERS[name]([weight])
    for _ in range(10):
        inputs = torch.randn(9, 20, dtype=torch.float64)
        for optimizer, output in ((ours, module(inputs)), (textbook, F.linear(inputs, weight * module.mask))):
            optimizer.zero_grad()
            torch.autograd.backward(((output - 1) ** 2).sum())
        assert weight.grad is not None
        norm = torch.nn.utils.clip_grad_norm_([weight], 0.5)
        assert norm > 0.5
        torch.testing.assert_close(torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5), norm)
        ours.step()
        textbook.step()
    torch.testing.assert_close(module.dense_weight(), weight * module.mask)


def test_an_unmasked_gradient_would_have_another_norm() -> None:
    """The control of the test above."""
    module, inputs = layer(bias=False), torch.randn(9, 20)
    (_, masked), (_, unmasked) = (
        with_gradients(lambda weight, f=function: f(inputs, weight), module.weight)
        for function in (lambda x, w: F.linear(x, w * module.mask), F.linear)
    )
    assert masked.norm() < 0.9 * unmasked.norm()


def pickled(module: SparseLinear) -> SparseLinear:
    return pickle.loads(pickle.dumps(module))  # type: ignore[no-any-return]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_trains_alone_around_its_own_mask(duplicate: Duplicate) -> None:
    module = layer()
    module(torch.randn(2, 20))  # the backend exists by now
    twin = duplicate(module)
    assert torch.equal(twin.mask, module.mask)
    assert twin.mask_bits.data_ptr() != module.mask_bits.data_ptr()
    assert twin.backend is not module.backend
    inputs = torch.randn(4, 20)
    assert torch.equal(twin(inputs), module(inputs))
    before = module.dense_weight().detach().clone()
    torch.autograd.backward(weighed(twin(inputs)))
    torch.optim.SGD(twin.parameters(), lr=1.0).step()
    assert torch.equal(module.dense_weight(), before)
    assert not torch.equal(twin.dense_weight(), before)
    assert not twin.dense_weight()[~twin.mask].any()


@pytest.mark.parametrize("assign", [False, True])
def test_a_checkpoint_brings_its_mask(assign: bool) -> None:
    source, target = layer(seed=0), layer(seed=1)
    assert not torch.equal(source.mask, target.mask)
    target(torch.randn(2, 20))  # the backend of the old mask exists by now
    assert set(source.state_dict()) == {"weight", "bias", "mask_bits"}
    target.load_state_dict(copy.deepcopy(source.state_dict()), assign=assign)
    assert torch.equal(source.mask, target.mask)
    inputs = torch.randn(5, 20)
    assert torch.equal(source(inputs), target(inputs))
    torch.autograd.backward(weighed(target(inputs)))
    assert target.weight.grad is not None
    assert torch.equal(target.weight.grad != 0, source.mask)


def test_loading_keeps_the_parameter_that_an_optimizer_holds() -> None:
    module = layer()
    weight = module.weight
    module.load_state_dict(layer(seed=1).state_dict())
    assert module.weight is weight


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("prefix", ["", "3."])
def test_a_checkpoint_without_its_mask_is_refused(strict: bool, prefix: str) -> None:
    network = nn.ModuleDict({"3": layer()}) if prefix else layer()
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("mask_bits")}
    with pytest.raises(RuntimeError, match=rf"{prefix}mask_bits is missing: a sparse layer cannot be restored"):
        network.load_state_dict(state, strict=strict)


@pytest.mark.parametrize("prefix", ["", "3."])
@pytest.mark.parametrize("assign", [False, True])
def test_a_checkpoint_of_an_earlier_version_holds_a_boolean_mask(assign: bool, prefix: str) -> None:
    source, target = layer(seed=0), layer(seed=1)
    old = {prefix + name: value for name, value in source.state_dict().items() if name != "mask_bits"}
    old[prefix + "mask"] = source.mask
    (nn.ModuleDict({"3": target}) if prefix else target).load_state_dict(old, assign=assign)
    assert torch.equal(target.mask, source.mask)
    assert torch.equal(target.dense_weight(), source.dense_weight())
    assert set(old) == {prefix + name for name in ("weight", "bias", "mask")}, "a checkpoint is only read"


@pytest.mark.parametrize("shape", [(12, 24), (12, 25), (20, 12), (11, 20)])
@pytest.mark.parametrize("backend", ["masked", "csr"])
def test_a_mask_of_another_shape_is_refused(shape: Shape, backend: str) -> None:
    """Also where as many weights exist in as many bytes of bits."""
    module = SparseLinear(20, 12, density=0.3, backend=backend)
    module.draw_mask(named_generator(0, "mask", "w"))
    rows, columns = shape
    other = SparseLinear(columns, rows, density=0.3, backend=backend)
    other.mask = (torch.arange(rows * columns) >= rows * columns - module.nonzero).view(shape)
    assert other.nonzero == module.nonzero
    for state in (other.state_dict(), {"weight": other.weight.data, "mask": other.mask}):
        with pytest.raises(RuntimeError, match="size mismatch"):
            module.load_state_dict(state)


def test_a_mask_set_by_hand_keeps_the_weights_under_both() -> None:
    module = layer(1.0)
    before, mask = module.dense_weight().detach().clone(), torch.eye(12, 20, dtype=torch.bool)
    module.mask = mask
    assert torch.equal(module.mask, mask)
    assert torch.equal(module.dense_weight(), before * mask)


def test_dense_weights_in_a_checkpoint_are_masked() -> None:
    module = layer()
    given = torch.ones(module.shape)
    module.load_state_dict({**module.state_dict(), "weight": given})
    assert torch.equal(module.dense_weight(), module.mask.float())
    assert bool(given.all()), "a checkpoint is only read"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_another_precision_keeps_mask_and_zeros(dtype: torch.dtype) -> None:
    module = layer()
    module(torch.randn(2, 20))  # the backend exists by now
    expected = module.dense_weight().detach().to(dtype)
    module.to(dtype)
    assert module.mask.dtype is torch.bool
    output = module(torch.randn(4, 20, dtype=dtype))
    torch.autograd.backward(weighed(output))
    assert output.dtype is dtype
    assert torch.equal(module.dense_weight(), expected)
    assert module.weight.grad is not None
    assert module.weight.grad.dtype is dtype
    assert torch.equal(module.weight.grad != 0, module.mask)


def test_new_weights_take_on_the_layers_precision() -> None:
    module = layer().double()
    module.set_weight(torch.randn(12, 20))
    assert module.weight.dtype is torch.float64


def test_a_new_mask_rules_as_soon_as_weights_are_set() -> None:
    """Guards against a backend that outlives its mask."""
    module = layer().double()
    inputs = torch.randn(5, 20, dtype=torch.float64)
    module(inputs)
    module.draw_mask(named_generator(7, "mask", "w"))
    module.set_weight(torch.ones(12, 20, dtype=torch.float64))
    assert torch.equal(module.dense_weight(), module.mask.double())
    compare(module, inputs)


def test_a_pickle_holds_nothing_that_computing_made() -> None:
    module = SparseLinear(20, 12, density=0.3)
    module.draw_mask(named_generator(0, "mask", "w"))
    before = len(pickle.dumps(module))
    module.set_weight(torch.randn(12, 20))
    module(torch.randn(2, 20))
    assert len(pickle.dumps(module)) == before


def test_another_device_gets_a_backend_of_its_own() -> None:
    module = layer()
    here = module.backend
    assert module.to("meta").backend is not here


@pytest.mark.parametrize("density", [0.5, 1.0])
def test_an_unknown_backend_is_refused_by_key(density: float) -> None:
    with pytest.raises(InputError, match=r"sparsity\.backend=nonsense"):
        SparseLinear(4, 4, density=density, backend="nonsense")


def test_at_density_one_it_is_an_ordinary_layer_bit_for_bit() -> None:
    module, inputs = layer(1.0), torch.randn(6, 20)
    assert torch.equal(module(inputs), F.linear(inputs, module.weight, module.bias))
    assert bool(module.dense_weight().all())


def test_density_is_counted_on_the_mask() -> None:
    module = SparseLinear(40, 50, density=0.1, mask_kind=MaskKind.BERNOULLI)
    module.draw_mask(named_generator(0, "mask", "w"))
    assert module.nonzero == int(module.mask.sum()) != 200
    assert module.density == float(module.mask.double().mean())


@pytest.mark.parametrize(("kind", "nonzero"), [("random", 206), ("fixed_fan_in", 200), ("bernoulli", 206)])
def test_without_memory_density_is_what_a_draw_would_keep(kind: str, nonzero: int) -> None:
    """0.103 of 40 x 50 weights, or of the 40 of each row."""
    with torch.device("meta"):
        module = SparseLinear(40, 50, density=0.103, mask_kind=MaskKind(kind))
    assert module.nonzero == nonzero
    assert module.density == nonzero / 2000
    assert module(torch.empty(3, 40, device="meta")).shape == (3, 50)


def test_its_representation_tells_shape_density_and_backend() -> None:
    assert repr(layer(0.25)) == "SparseLinear(20, 12, density=0.25, backend=masked)"


def test_making_a_layer_draws_nothing_from_the_global_stream() -> None:
    before = torch.get_rng_state()
    layer()
    assert torch.equal(torch.get_rng_state(), before)
    nn.Linear(2, 2)
    assert not torch.equal(torch.get_rng_state(), before)
