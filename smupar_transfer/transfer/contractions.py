"""Which axis of a parameter is summed over: seen in one forward pass of a small network.

Where neither a module's type nor shapes tell (stacked experts, routers, raw positions), what happens to the parameter
does: a matrix product contracts one of its axes, a look-up picks rows, anything else adds it or multiplies with it.
Each operation's tensors are matched with parameters by storage, and with their axes by stride.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.layouts import layouts_of

# the first argument of addmm and baddbmm is what is added to the product
PRODUCTS = {"mm": (0, 1), "bmm": (0, 1), "_grouped_mm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}
"""Matrix products: which arguments are the left and the right factor."""
CONVOLUTIONS = frozenset({"convolution", "_convolution", "conv1d", "conv2d", "conv3d"})
VIEWS = frozenset(
    {
        *("t", "transpose", "permute", "view", "reshape", "_unsafe_view", "detach", "alias", "select", "slice"),
        *("unsqueeze", "squeeze", "expand", "split", "split_with_sizes", "unbind", "chunk", "as_strided"),
        *("empty_like", "zeros_like", "ones_like", "new_empty", "new_zeros"),
    }
)
"""Operations that look at a tensor, or at its shape, and compute nothing."""
COPIES = frozenset({"clone", "_to_copy", "copy", "contiguous"})
"""Operations whose result is the tensor again, somewhere else in memory."""
COMBINING = frozenset(
    {
        *("add", "add_", "sub", "mul", "mul_", "div", "cat", "stack", "where", "index", "index_select", "gather"),
        *("exp", "neg", "softplus", "sigmoid", "silu", "tanh", "pow", "rsqrt", "log", "_softmax", "native_layer_norm"),
    }
)
"""Operations that take a parameter entry by entry, or as an activation. What else happens to one is not understood, and
decides nothing."""


@dataclass
class Use:
    """What a forward pass did with one parameter.

    Attributes:
        contracted: The axes that products summed over, of each product: several where one dimension ran along them.
        looked_up: Whether rows of it were picked.
        combined: Whether it was added, multiplied or used otherwise, entry by entry; or went into a layer itself, as
            learned queries do.
        unknown: Whether an operation had it of which nothing is known here.
    """

    contracted: set[tuple[int, ...]] = field(default_factory=set)
    looked_up: bool = False
    combined: bool = False
    unknown: bool = False

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The axes that are summed over, if they are the same in all products."""
        return next(iter(self.contracted)) if len(self.contracted) == 1 else None


def trace(network: nn.Module, sample: object) -> dict[str, Use]:
    """Run a copy of a network forward once and watch its parameters; the network itself is left as it is.

    Args:
        network: A small one; the pass costs what a forward pass costs.
        sample: What it takes: a mapping (keywords), a tuple or list (arguments), or a single argument; or a function
            that is called with the network and runs it.

    Returns:
        The use of every parameter by name; empty uses for those that the pass did not touch.

    Raises:
        InputError: the network does not run with the sample.
    """
    try:
        watched = copy.deepcopy(network).eval()
    except InputError:
        raise  # a caller's function has said what is wrong
    except Exception as error:  # whatever a module of somebody's raises
        problem = f"the base cannot be copied ({type(error).__name__}: {error})"
        raise InputError(
            "sample", type(sample).__name__, problem, "prune the model, and leave the base alone"
        ) from error
    watcher = _Watcher(watched)
    try:
        # under autograd a product of weights may be fused or transposed away; the numbers do not matter
        with torch.random.fork_rng(devices=[]), torch.no_grad(), watcher:
            _call(watched, sample)
    except InputError:
        raise  # a caller's function has said what is wrong
    except Exception as error:  # whatever the network raises on what it was given
        problem = f"the base does not run with it ({type(error).__name__}: {error})"
        raise InputError(
            "sample", type(sample).__name__, problem, "give what its forward takes, as a dict of keywords"
        ) from error
    return watcher.uses


def _call(network: nn.Module, sample: object) -> None:
    if callable(sample) and not isinstance(sample, Tensor):
        sample(network)
    elif isinstance(sample, Mapping):
        network(**sample)
    elif isinstance(sample, tuple | list):
        network(*sample)
    else:
        network(sample)


@dataclass
class _Held:
    """A piece of memory that holds a parameter, or a copy of one.

    Attributes:
        use: What happens to the parameter.
        runs: From strides in this memory to the length of what lies along them, and to axes of the parameter.
        is_weight: Whether a module of a known type owns the parameter, and multiplies with it.
    """

    use: Use
    runs: dict[int, tuple[int, tuple[int, ...]]]
    is_weight: bool

    def axes(self, tensor: Tensor, dimension: int) -> tuple[int, ...] | None:
        """The axes of the parameter along which a dimension of a view of this memory runs, if it does.

        They are several where heads and their channels, say, were made one dimension for a product.
        """
        stride, size = tensor.stride(dimension), tensor.shape[dimension]
        length, axes = self.runs.get(stride, (0, ()))
        if size <= length:
            return axes  # a part of an axis, too
        inside = [run for step, run in self.runs.items() if stride <= step < stride * size]
        # other strides between them: the dimension runs along something else as well
        if not axes or math.prod(length for length, _ in inside) != size:
            return None
        return tuple(sorted(axis for _, axes in inside for axis in axes))


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what operations do to the parameters of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: dict[str, Use] = {}
        self._held: dict[int, _Held] = {}
        self._copies: list[Tensor] = []  # kept, so that no other tensor gets their memory
        weights = {
            id(parameter)
            for module in network.modules()
            for leaf in layouts_of(module)
            if (parameter := module._parameters.get(leaf)) is not None
        }
        for name, parameter in network.named_parameters():
            self.uses[name] = use = Use()
            runs = _runs(parameter, [(axis,) for axis in range(parameter.ndim)])
            self._held[_storage(parameter)] = _Held(use, runs, id(parameter) in weights)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__  # type: ignore[attr-defined]
        result = func(*args, **(kwargs or {}))
        if name in PRODUCTS:
            left, right = PRODUCTS[name]
            # (n, k) times (k, m) sums over k
            self._contract(args[left], -1, by=args[right])
            self._contract(args[right], -2, by=args[left])
        elif name == "embedding":
            for held in self._of(args[0]):
                held.use.looked_up = True
        elif name in CONVOLUTIONS:
            # (outputs, inputs, *kernel), as convolutions have it that are not transposed
            self._contract(args[1], 1, by=args[0])
            for held in self._of(args[0]):
                held.use.combined = True
        elif name in COPIES:
            self._copy(args[0], result)
        elif name not in VIEWS:
            for held in (held for argument in args for held in self._of(argument)):
                held.use.combined |= name in COMBINING
                held.use.unknown |= name not in COMBINING
        return result

    def _of(self, argument: object) -> list[_Held]:
        tensors = argument if isinstance(argument, list | tuple) else [argument]
        # tensors of other layouts, such as sparse ones, have no storage to ask for
        strided = [tensor for tensor in tensors if isinstance(tensor, Tensor) and tensor.layout is torch.strided]
        return [self._held[_storage(tensor)] for tensor in strided if _storage(tensor) in self._held]

    def _contract(self, argument: Tensor, dimension: int, by: Tensor) -> None:
        others = self._of(by)
        for held in self._of(argument):
            axes = held.axes(argument, dimension)
            if others and not held.is_weight:
                # of two parameters one is the weight, and the other what goes into it: types tell, or nothing does
                held.use.combined |= others[0].is_weight
                held.use.unknown |= not others[0].is_weight
            elif axes is None:
                held.use.unknown = True
            else:
                held.use.contracted.add(axes)

    def _copy(self, source: Tensor, result: object) -> None:
        for held in self._of(source):
            if isinstance(result, Tensor):
                axes = [held.axes(source, dimension) for dimension in range(source.ndim)]
                self._held[_storage(result)] = _Held(held.use, _runs(result, axes), held.is_weight)
                self._copies.append(result)


def _runs(tensor: Tensor, axes: Iterable[tuple[int, ...] | None]) -> dict[int, tuple[int, tuple[int, ...]]]:
    """From the strides of a tensor to what its dimensions are; strides that two dimensions share tell nothing."""
    known: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
    for dimension, run in enumerate(axes):
        # a dimension of 1 may have any stride
        if run is not None and tensor.shape[dimension] > 1:
            known.setdefault(tensor.stride(dimension), []).append((tensor.shape[dimension], run))
    return {stride: same[0] for stride, same in known.items() if len(same) == 1}


def _storage(tensor: Tensor) -> int:
    """A number of the memory that a tensor views; unlike its address, there is one on the meta device, too."""
    number: int = tensor.untyped_storage()._cdata
    return number
