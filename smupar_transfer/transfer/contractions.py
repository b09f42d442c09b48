"""Which axis of a parameter is summed over: seen in one forward pass of a small network.

Where neither a module's type nor shapes tell (stacked experts, routers, raw positions), what happens to the parameter
does: a matrix product contracts one of its axes, a look-up picks rows, anything else adds it or multiplies with it.
Each operation's tensors are matched with parameters by storage, and with their axes by stride.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smupar_transfer.theory import InputError

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


@dataclass
class Use:
    """What a forward pass did with one parameter.

    Attributes:
        contracted: The axes that products summed over, seen one at a time.
        looked_up: Whether rows of it were picked.
        combined: Whether it was added, multiplied or used otherwise, entry by entry.
    """

    contracted: set[int] = field(default_factory=set)
    looked_up: bool = False
    combined: bool = False

    @property
    def axis(self) -> int | None:
        """The axis that is summed over, if it is one and the same in all products."""
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


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what operations do to the parameters of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: dict[str, Use] = {}
        self._by_storage: dict[int, tuple[Use, Tensor]] = {}
        for name, parameter in network.named_parameters():
            self.uses[name] = use = Use()
            self._by_storage[_storage(parameter)] = (use, parameter)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__  # type: ignore[attr-defined]
        if name in PRODUCTS:
            left, right = PRODUCTS[name]
            self._contract(args[left], -1)
            self._contract(args[right], -2)
        elif name == "embedding":
            for use, _ in self._uses_of(args[0]):
                use.looked_up = True
        elif name in CONVOLUTIONS:
            self._contract(args[1], 1)
        elif name not in VIEWS:
            for argument in args:
                for use, _ in self._uses_of(argument):
                    use.combined = True
        return func(*args, **(kwargs or {}))

    def _uses_of(self, argument: object) -> list[tuple[Use, Tensor]]:
        tensors = argument if isinstance(argument, list | tuple) else [argument]
        return [
            self._by_storage[_storage(tensor)]
            for tensor in tensors
            if isinstance(tensor, Tensor) and tensor.layout is torch.strided and _storage(tensor) in self._by_storage
        ]

    def _contract(self, argument: Tensor, axis: int) -> None:
        for use, parameter in self._uses_of(argument):
            stride = argument.stride(axis)
            same = [
                own for own in range(parameter.ndim) if parameter.stride(own) == stride and parameter.shape[own] > 1
            ]
            if len(same) == 1:
                use.contracted.add(same[0])


def _storage(tensor: Tensor) -> int:
    """A number of the memory that a tensor views; unlike its address, there is one on the meta device, too."""
    number: int = tensor.untyped_storage()._cdata
    return number
