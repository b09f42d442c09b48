"""One contract for every backend: the function and gradients of a masked matrix, in whatever layout it keeps."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from smupar_transfer.sparsity import BACKENDS, Backend, SparseLinear, computing_backend, make_backend, named_generator
from smupar_transfer.sparsity.backends import native
from smupar_transfer.sparsity.backends.base import DenseBackend
from smupar_transfer.sparsity.backends.panels import Blocking
from smupar_transfer.sparsity.mask_bits import unpack_bits
from smupar_transfer.theory import InputError

SHAPES = [1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 257, 600, 1030]
"""Of outputs, inputs and tokens: around every width of vectors, tiles and blocks."""
MASK = torch.rand(20, 30, generator=named_generator(0, "mask", "test")) < 0.5
DENSITIES = [0.0, 0.003, 0.015, 0.04, 0.06, 0.2, 0.5, 0.95]


def layer(backend: str, seed: int = 0, density: float = 0.3, shape: tuple[int, int] = (12, 20)) -> SparseLinear:
    made = SparseLinear(shape[1], shape[0], bias=True, density=density, backend=backend)
    made.draw_mask(named_generator(seed, "mask", "w"))
    made.set_weight(torch.randn(shape, generator=named_generator(seed, "weight", "w")))
    assert made.bias is not None
    nn.init.normal_(made.bias, generator=named_generator(seed, "weight", "b"))
    return made


def reloaded(module: SparseLinear) -> SparseLinear:
    """A layer of the same kind, from the state of another."""
    made = layer(module.backend_name, seed=1)
    made.load_state_dict(module.state_dict())
    return made


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=named_generator(seed, "test", "values"), dtype=torch.float64)


def ragged_mask(rows: int, columns: int, density: float, seed: int) -> Tensor:
    """Any entries, but none in one row and one column, and never all of them."""
    generator = named_generator(seed, "mask", "ragged")
    mask = torch.rand(rows, columns, generator=generator) < density
    mask[seed % rows] = False
    mask[:, seed % columns] = False
    return mask


def products(made: Backend, mask: Tensor, operands: list[Tensor], upstream: Tensor) -> list[Tensor]:
    """Output and gradients for inputs, for the weights that exist, and for the bias if ``operands`` has one.

    Args:
        operands: inputs, weight as a dense matrix, and perhaps a bias.
    """
    inputs, weight, *bias = (value.detach().clone() for value in operands)
    leaves = [value.requires_grad_() for value in (inputs, made.pack(weight), *bias)]
    output = made.linear(leaves[0], leaves[1], leaves[2] if bias else None)
    for_inputs, for_weight, *for_bias = torch.autograd.grad(output, leaves, upstream)
    return [output.detach(), for_inputs, made.unpack(for_weight)[mask], *for_bias]


def check(made: Backend, mask: Tensor, tokens: int, dtype: torch.dtype, tolerance: float, bias: bool = True) -> None:
    """Compare with dense products in float64, by norm.

    Where there are few numbers, they may be small by chance: errors are then relative to the norm of sums of absolute
    values, which cannot cancel.
    """
    rows, columns = mask.shape
    shapes = [(tokens, columns), (rows, columns), (rows,), (tokens, rows)]
    inputs, weight, shift, upstream = (drawn(*shape).to(dtype) for shape in shapes)
    operands = [inputs, weight * mask, *([shift] if bias else [])]
    computed = products(made, mask, operands, upstream)

    def dense(inputs: Tensor, weight: Tensor, shift: Tensor, upstream: Tensor) -> list[Tensor]:
        output = inputs @ weight.T + (shift if bias else 0)
        return [output, upstream @ weight, (upstream.T @ inputs)[mask], *([upstream.sum(0)] if bias else [])]

    exact = [value.double() for value in (inputs, weight * mask, shift, upstream)]
    for value, reference, scale in zip(computed, dense(*exact), dense(*(x.abs() for x in exact)), strict=True):
        assert value.dtype == dtype
        assert value.shape == reference.shape
        yardstick = reference if reference.numel() >= 20 else scale
        assert float((value - reference).norm()) <= tolerance * float(yardstick.norm())


class SlightlyWrong(DenseBackend):
    """A product that is off by one part in a hundred thousand."""

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super().linear(inputs, weight, bias) * (1 + 1e-5)


def test_the_check_notices_a_slight_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the contract below."""
    monkeypatch.setitem(BACKENDS, "masked", lambda mask: SlightlyWrong())
    with pytest.raises(AssertionError):
        check(make_backend("masked", MASK), MASK, 10, torch.float32, 1e-6)


class TestContract:
    """What ``Backend`` promises, for every one of them."""

    @pytest.mark.parametrize("seed", range(40))
    def test_float32_is_right_to_a_millionth_on_any_shape(self, backend: str, seed: int) -> None:
        dice = random.Random(seed)
        rows, columns, tokens = (dice.choice(SHAPES) for _ in range(3))
        mask = ragged_mask(rows, columns, dice.choice(DENSITIES), seed)
        check(make_backend(backend, mask), mask, tokens, torch.float32, 1e-6)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)], ids=str)
    def test_hundreds_of_small_shapes(self, backend: str, dtype: torch.dtype, tolerance: float) -> None:
        """Single tokens, rows, columns and weights among them; no weight, and all of them; with a bias and without."""
        assert computing_backend(backend) == backend  # which loads the kernels
        dice = random.Random(0)
        for seed in range(300):
            rows, columns, tokens = (dice.choice([1, 16, dice.randint(2, 70)]) for _ in range(3))
            mask = ragged_mask(rows, columns, dice.choice(DENSITIES), seed)
            if seed % 10 == 0:
                mask.fill_(True)
            elif seed % 10 == 1:
                mask = (torch.arange(rows * columns) == dice.randrange(rows * columns)).view(rows, columns)
            # The backend itself also where a layer would compute densely.
            check(BACKENDS[backend](mask), mask, tokens, dtype, tolerance, bias=dice.random() < 0.5)

    @pytest.mark.parametrize("shape", [(3, 70_000), (70_000, 3)], ids=str)
    @pytest.mark.parametrize("density", [1e-4, 0.02])
    def test_more_columns_or_rows_than_16_bits_count(
        self, backend: str, shape: tuple[int, int], density: float
    ) -> None:
        mask = ragged_mask(*shape, density, 5)
        mask[-1, -1] = True
        check(make_backend(backend, mask), mask, 17, torch.float32, 1e-6)

    @pytest.mark.parametrize("shape", [(1700, 40), (40, 2100), (1300, 1300)], ids=str)
    @pytest.mark.parametrize(("density", "tokens"), [(0.01, 150), (0.3, 150), (0.01, 1100)])
    def test_many_blocks(self, backend: str, shape: tuple[int, int], density: float, tokens: int) -> None:
        mask = ragged_mask(*shape, density, 3)
        check(make_backend(backend, mask), mask, tokens, torch.float32, 1e-6)

    @pytest.mark.parametrize("seed", range(10))
    def test_float64_is_right_to_ten_digits(self, backend: str, seed: int) -> None:
        dice = random.Random(seed)
        rows, columns, tokens = (dice.choice(SHAPES[:-2]) for _ in range(3))
        mask = ragged_mask(rows, columns, dice.choice(DENSITIES), seed)
        check(make_backend(backend, mask), mask, tokens, torch.float64, 1e-13)

    def test_gradients_are_right_by_finite_differences(self, backend: str) -> None:
        mask = ragged_mask(7, 9, 0.4, 0)
        made = make_backend(backend, mask)

        def apply(inputs: Tensor, kept: Tensor, bias: Tensor) -> Tensor:
            return made.linear(inputs, made.pack(torch.zeros(7, 9).double().masked_scatter(mask, kept)), bias)

        leaves = [drawn(5, 9), drawn(int(mask.sum())), drawn(7)]
        assert torch.autograd.gradcheck(apply, [leaf.requires_grad_() for leaf in leaves])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("shape", [(7, 1), (1, 7)], ids=str)
    def test_a_single_feature_for_many_tokens(self, backend: str, shape: tuple[int, int], dtype: torch.dtype) -> None:
        if backend == "native" and dtype is torch.float64:
            pytest.skip("the kernels compute in float32")
        mask = torch.ones(shape, dtype=torch.bool)
        mask[0, 0] = False
        check(make_backend(backend, mask), mask, 256, dtype, 1e-6)

    def test_no_tokens(self, backend: str) -> None:
        module = layer(backend)
        output = module(torch.zeros(0, 20, requires_grad=True))
        assert output.shape == (0, 12)
        output.sum().backward()
        assert module.weight.grad is not None
        assert not module.weight.grad.any()

    def test_inputs_of_any_strides_and_leading_dimensions(self, backend: str) -> None:
        module = layer(backend)
        inputs = drawn(20, 6, 5).float()
        expected = module(inputs.permute(2, 1, 0).contiguous())
        outputs = module(inputs.permute(2, 1, 0))
        assert torch.equal(outputs, expected)
        assert outputs.shape == (5, 6, 12)
        assert outputs.is_contiguous()

    def test_only_the_gradients_that_are_asked_for(self, backend: str) -> None:
        module = layer(backend)
        upstream = drawn(4, 12).float()
        for frozen in (module.weight, None):
            inputs = drawn(4, 20).float().requires_grad_(frozen is not None)
            module.zero_grad()
            for parameter in module.parameters():
                parameter.requires_grad_(parameter is not frozen)
            module(inputs).backward(upstream)
            assert (inputs.grad is None) == (frozen is None)
            assert (module.weight.grad is None) == (frozen is not None)

    def test_without_gradients_and_under_checkpointing_it_is_the_same(self, backend: str) -> None:
        module, inputs = layer(backend), drawn(9, 20).float().requires_grad_()
        expected = module(inputs)
        with torch.no_grad():
            assert torch.equal(module(inputs), expected)
        gradients = torch.autograd.grad(expected.square().sum(), [inputs, *module.parameters()])
        again = checkpoint(module, inputs, use_reentrant=False)
        for value, reference in zip(
            torch.autograd.grad(again.square().sum(), [inputs, *module.parameters()]), gradients, strict=True
        ):
            assert torch.equal(value, reference)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_results_repeat_to_the_last_bit(self, backend: str, threads: int) -> None:
        torch.set_num_threads(threads)
        mask = ragged_mask(300, 700, 0.1, 0)
        operands = [value.float() for value in (drawn(333, 700), drawn(300, 700) * mask, drawn(300))]
        first, second = (
            products(make_backend(backend, mask), mask, operands, drawn(333, 300).float()) for _ in range(2)
        )
        assert all(map(torch.equal, first, second))

    # PyTorch's own tracing of autograd.Function warns.
    @pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
    @pytest.mark.parametrize(
        "arrive", [lambda module: module, copy.deepcopy, reloaded], ids=["made", "copied", "loaded"]
    )
    def test_compilers_see_one_graph(self, backend: str, arrive: Callable[[SparseLinear], SparseLinear]) -> None:
        module, inputs = arrive(layer(backend)), drawn(6, 20).float()
        compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
        outputs, expected = compiled(inputs), module(inputs)
        assert torch.equal(outputs, expected)
        weights = list(module.parameters())
        for value, reference in zip(
            torch.autograd.grad(outputs.square().sum(), weights),
            torch.autograd.grad(expected.square().sum(), weights),
            strict=True,
        ):
            torch.testing.assert_close(value, reference)

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
    def test_a_copy_trains_alone(self, backend: str, duplicate: Callable[[SparseLinear], SparseLinear]) -> None:
        module, inputs = layer(backend), drawn(4, 20).float()
        before = module(inputs)
        twin = duplicate(module)
        assert torch.equal(twin(inputs), before)
        twin(inputs).sum().backward()
        torch.optim.SGD(twin.parameters(), lr=1.0).step()
        assert not torch.equal(twin(inputs), before)
        assert torch.equal(module(inputs), before)

    def test_weights_go_in_and_come_out_dense(self, backend: str) -> None:
        module, dense = layer(backend), drawn(12, 20).float()
        module.set_weight(dense)
        assert torch.equal(module.dense_weight(), dense * module.mask)

    def test_a_full_mask_computes_densely(self, backend: str) -> None:
        module = layer(backend, density=1.0)
        assert isinstance(module.backend, DenseBackend)
        assert module.weight.shape == (12, 20)

    def test_low_precision_inputs_are_computed_in_the_type_of_the_weight_or_refused(self, backend: str) -> None:
        module, inputs = layer(backend), drawn(4, 20).bfloat16()
        if backend == "masked":
            with pytest.raises(RuntimeError, match="dtype"):
                module(inputs)
        else:
            assert torch.equal(module(inputs), module(inputs.float()))


@pytest.mark.parametrize("backend", ["expand", "csr", "native"], indirect=True)
class TestCompactLayout:
    """What holds beyond the contract where zeros are not stored."""

    def test_weight_gradient_and_optimizer_state_have_an_entry_a_weight(self, backend: str) -> None:
        module = layer(backend)
        optimizer = torch.optim.AdamW(module.parameters(), fused=True)
        module(drawn(4, 20).float()).sum().backward()
        optimizer.step()
        moments = [value for value in optimizer.state[module.weight].values() if value.ndim]
        assert len(moments) == 2
        for value in (module.weight, module.weight.grad, *moments):
            assert value is not None
            assert value.shape == (module.nonzero,)

    def test_values_are_in_row_major_order(self, backend: str) -> None:
        module = layer(backend)
        assert torch.equal(module.weight, module.dense_weight()[module.mask])

    def test_half_precision_weights_are_refused_by_sparse_products(self, backend: str) -> None:
        if backend == "expand":
            pytest.skip("its products are dense: they know every type")
        with pytest.raises(InputError, match=r"cannot compute in torch\.bfloat16; use float32"):
            layer(backend).bfloat16()(drawn(4, 20))


@pytest.mark.parametrize("tokens", [777, 780])
@pytest.mark.parametrize("backend", ["csr", "native"], indirect=True)
def test_results_do_not_depend_on_the_number_of_threads(backend: str, tokens: int) -> None:
    mask = ragged_mask(700, 300, 0.2, 0)
    operands = [value.float() for value in (drawn(tokens, 300), drawn(700, 300) * mask, drawn(700))]
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(products(make_backend(backend, mask), mask, operands, drawn(tokens, 700).float()))
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.usefixtures("needs_compiler")
class TestNative:
    """What holds beyond the contract for the C++ kernels."""

    def test_blocks_of_more_than_16_bits_would_go_wrong(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control of layers with more than 65,536 columns: entries would be taken for others, unnoticed."""
        mask = torch.zeros(3, 70_000, dtype=torch.bool)
        mask[:, [7, 69_999]] = True
        check(make_backend("native", mask), mask, 17, torch.float32, 1e-6)
        monkeypatch.setattr(native, "forward_blocking", lambda density: Blocking(256, 1 << 17, 32))
        with pytest.raises(AssertionError):
            check(make_backend("native", mask), mask, 17, torch.float32, 1e-6)

    def test_the_operators_are_as_pytorch_wants_them(self) -> None:
        module = layer("native")
        structure = module.backend.structure  # type: ignore[attr-defined]
        arguments = (drawn(5, 20).float().requires_grad_(), module.weight, module.bias, *structure)
        torch.library.opcheck(torch.ops.smupar_native.linear.default, arguments)

    def test_wrong_arguments_are_refused(self) -> None:
        module = layer("native")
        structure = list(module.backend.structure)  # type: ignore[attr-defined]
        inputs, weight = drawn(5, 20).float(), module.weight.detach()
        linear = torch.ops.smupar_native.linear
        for wrong in [(inputs.double(), weight), (inputs, weight[1:]), (inputs[0], weight), (inputs, weight.double())]:
            with pytest.raises(RuntimeError):
                linear(*wrong, None, *structure)
        with pytest.raises(RuntimeError, match="biases"):
            linear(inputs, weight, torch.zeros(5), *structure)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_expanding_operator_is_as_pytorch_wants_it(dtype: torch.dtype) -> None:
    module = layer("expand")
    inputs = drawn(6, 20).to(dtype).requires_grad_()
    arguments = (inputs, module.weight, module.backend.flat_indices(), 12)  # type: ignore[attr-defined]
    torch.library.opcheck(torch.ops.smupar_transfer.expand_linear.default, arguments)


def test_the_csr_operator_is_as_pytorch_wants_it() -> None:
    module = layer("csr")
    inputs = drawn(6, 20).float().requires_grad_()
    for ranges in (1, 3):
        arguments = (inputs, module.weight, module.backend.structure, ranges)  # type: ignore[attr-defined]
        torch.library.opcheck(torch.ops.smupar_transfer.csr_linear.default, arguments)


class TestStateDicts:
    """What one backend saves, any other loads: weights and mask, also over a mask with another number of weights."""

    @pytest.mark.parametrize("densities", [(0.3, 0.3), (0.3, 0.5), (0.5, 0.3)], ids=str)
    def test_weights_and_mask_travel(self, backend: str, other_backend: str, densities: tuple[float, float]) -> None:
        saved, loaded = layer(backend, 0, densities[0]), layer(other_backend, 1, densities[1])
        parameter, inputs = loaded.weight, drawn(5, 20).float()
        loaded(inputs).sum().backward()
        loaded.load_state_dict(saved.state_dict())
        assert loaded.weight is parameter
        assert torch.equal(loaded.mask, saved.mask)
        assert torch.equal(loaded.dense_weight(), saved.dense_weight())
        torch.testing.assert_close(loaded(inputs), saved(inputs))
        loaded.zero_grad()
        loaded(inputs).sum().backward()
        assert loaded.weight.grad is not None
        assert loaded.weight.grad.shape == loaded.weight.shape

    def test_into_a_layer_that_was_never_initialised(self, backend: str, other_backend: str) -> None:
        saved, loaded = layer(backend), SparseLinear(20, 12, bias=True, density=0.3, backend=other_backend)
        loaded.load_state_dict(saved.state_dict())
        assert torch.equal(loaded.dense_weight(), saved.dense_weight())

    def test_into_a_layer_on_the_meta_device(self, backend: str, other_backend: str) -> None:
        saved = layer(backend)
        with torch.device("meta"):
            loaded = SparseLinear(20, 12, bias=True, density=0.3, backend=other_backend)
        loaded.load_state_dict(saved.state_dict(), assign=True)
        assert torch.equal(loaded.dense_weight(), saved.dense_weight())
        assert loaded.weight.requires_grad

    def test_a_full_mask_travels_both_ways(self, backend: str, other_backend: str) -> None:
        dense, sparse = layer(backend, density=1.0), layer(other_backend)
        state = copy.deepcopy(sparse.state_dict())
        sparse.load_state_dict(dense.state_dict())
        assert torch.equal(sparse.dense_weight(), dense.dense_weight())
        dense.load_state_dict(state)
        assert dense.nonzero == int(unpack_bits(state["mask_bits"], 20).sum())


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["mask_bits", "weight"])
def test_half_a_layer_is_refused(backend: str, name: str, strict: bool) -> None:
    state = {key: value for key, value in layer(backend).state_dict().items() if key != name}
    with pytest.raises(RuntimeError, match=f"{name} is missing"):
        layer(backend).load_state_dict(state, strict=strict)


def test_weights_that_do_not_fit_their_mask_are_refused_and_change_nothing(backend: str) -> None:
    module, other = layer(backend), layer("csr", density=0.5)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(
        RuntimeError, match=r"size mismatch for weight: shape \(120,\) is neither \(12, 20\) nor \(72,\)"
    ):
        module.load_state_dict({**module.state_dict(), "weight": other.weight})
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items() if name != "bias")


def test_moving_to_another_type_keeps_the_structure(backend: str) -> None:
    module = layer(backend)
    made = module.backend
    assert module.double().backend is made
    assert module(drawn(3, 20)).dtype == torch.float64


@pytest.mark.parametrize("full", [True, False])
def test_an_unknown_backend_is_refused_by_key(full: bool) -> None:
    mask = torch.ones(3, 3, dtype=torch.bool).tril(0 if not full else 3)
    with pytest.raises(
        InputError, match=r"^sparsity\.backend=quantum: is not one of auto, masked, expand, csr, native$"
    ):
        make_backend("quantum", mask)


def test_the_kernels_compute_on_the_cpu_only() -> None:
    assert computing_backend("native", "cuda") == "csr"
    assert computing_backend("masked", "cuda") == "masked"
