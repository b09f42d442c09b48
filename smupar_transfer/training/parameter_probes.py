"""Sizes at planned matrices that no layer of their own computes with: slices of stacked experts, raw parameters.

Matrix products of a forward pass are seen as they are called, and those whose factor is such a parameter, or a view of
it, are measured; what several of them do with parts of one parameter counts together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from smupar_transfer.training.sizes import ratio

PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "linear", "grouped_mm", "_grouped_mm", "einsum")
"""Names of functions that multiply their tensors and add nothing, but for a bias of ``linear``."""
ADDING = ("addmm", "baddbmm")
"""Names of functions whose first tensor is added to the product of the others."""
VIEWS = (
    *("__getitem__", "select", "narrow", "index_select", "unbind", "chunk", "split", "squeeze", "unsqueeze", "expand"),
    *("transpose", "t", "permute", "movedim", "swapaxes", "view", "reshape", "contiguous", "to", "float", "bfloat16"),
)
"""Names of functions that take a part of a tensor, or the same entries in another form."""
TRANSPOSED = ("T", "mT")
"""Names of attributes that do so."""

Apply = Callable[[Tensor], Any]


@dataclass
class _Size:
    """A root mean square of what comes in pieces."""

    squares: float = 0.0
    count: int = 0

    def add(self, values: Tensor) -> None:
        self.squares += float(values.detach().double().square().sum())
        self.count += values.numel()

    @property
    def rms(self) -> float:
        return (self.squares / self.count) ** 0.5 if self.count else 0.0


@dataclass
class _Product:
    """One product of a pass: what it makes of its other factor, which came in, with a weight of any values."""

    inputs: Tensor
    multiply: Callable[[Tensor, Tensor], Tensor]
    part: Apply

    def of(self, weight: Tensor) -> Tensor:
        return self.multiply(self.inputs, self.part(weight))


@dataclass
class _Pass:
    """What was seen of a parameter in one forward pass and in the backward pass after it."""

    products: list[_Product] = field(default_factory=list)
    inputs: _Size = field(default_factory=_Size)
    outputs: _Size = field(default_factory=_Size)
    gradients: _Size = field(default_factory=_Size)
    passed_back: _Size = field(default_factory=_Size)


@dataclass
class ParameterProbe:
    """Watches one parameter W in all products y = W x of a pass, over all of their entries together.

    Attributes:
        parameter: The parameter.
        density: The density of the weight.
        passes: What was seen, pass by pass.
        weight: The weight before the step in progress.
        update: The value of rms(dW x) / rms(x) at each step.
    """

    parameter: nn.Parameter
    density: float = 1.0
    passes: list[_Pass] = field(default_factory=list)
    weight: Tensor = field(default_factory=lambda: torch.empty(0))
    update: list[float] = field(default_factory=list)

    @property
    def output(self) -> list[float]:
        """The value of rms(W x) at each time."""
        return [each.outputs.rms for each in self._seen]

    @property
    def activation(self) -> list[float]:
        """The value of rms(W x) / rms(x) at each time."""
        return [ratio(each.outputs.rms, each.inputs.rms) for each in self._seen]

    @property
    def gradient(self) -> list[float]:
        """The value of rms(W^T g) / rms(g) at each time."""
        return [ratio(each.passed_back.rms, each.gradients.rms) for each in self._seen]

    @property
    def _seen(self) -> list[_Pass]:
        return [each for each in self.passes if each.inputs.count]

    def before_step(self) -> None:
        """Keep the weight."""
        self.weight = self.parameter.detach().clone()

    @torch.no_grad()
    def after_step(self) -> None:
        """Measure dW x on the inputs that dW was made from."""
        latest, change, outputs = self.passes[-1], self.parameter.detach() - self.weight, _Size()
        for product in latest.products:
            outputs.add(product.of(change))
        self.update.append(ratio(outputs.rms, latest.inputs.rms))
        latest.products.clear()  # inputs of all passes would fill the memory

    def saw(self, product: _Product, output: Tensor) -> None:
        """Measure W x, and W^T g when the gradient of the output comes."""
        now = self.passes[-1]
        now.products.append(product)
        now.inputs.add(product.inputs)
        with torch.no_grad():
            now.outputs.add(product.of(self.parameter.detach()))
        if output.requires_grad:
            output.register_hook(lambda gradient: self._passed_back(now, product, gradient))  # type: ignore[no-untyped-call]

    def _passed_back(self, now: _Pass, product: _Product, gradient: Tensor) -> None:
        # torch calls hooks of a backward pass without gradients
        with torch.enable_grad():
            inputs = product.inputs.detach().requires_grad_()
            made = product.multiply(inputs, product.part(self.parameter.detach()))
        (back,) = torch.autograd.grad(made, inputs, gradient)
        now.gradients.add(gradient)
        now.passed_back.add(back)


class _Watcher(TorchFunctionMode):
    """Finds products with watched parameters among all functions that are called."""

    def __init__(self, probes: Mapping[str, ParameterProbe]) -> None:
        super().__init__()
        self._probes = {id(probe.parameter): probe for probe in probes.values()}
        # by id, and with the tensor itself: Python gives the id of one that is gone to the next
        self._parts: dict[int, tuple[Tensor, ParameterProbe, Apply]] = {}

    def next_pass(self, *_: object) -> None:
        """A forward pass begins."""
        self._parts = {key: (probe.parameter, probe, _whole) for key, probe in self._probes.items()}
        for probe in self._probes.values():
            probe.passes.append(_Pass())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        # no gradients: what is recomputed by a probe, an optimizer or an evaluation is no pass of the model
        if torch.is_grad_enabled() and self._parts:
            self._follow(func, args, kwargs, result)
        return result

    def _follow(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        name = getattr(func, "__name__", "")
        if name in PRODUCTS or name in ADDING:
            self._product(func, name, args, kwargs, result)
        elif args and id(args[0]) in self._parts and self._is_view(func, name):
            _, probe, part = self._parts[id(args[0])]
            several = result if isinstance(result, tuple | list) else None
            for index, made in enumerate([result] if several is None else several):
                where = None if several is None else index
                self._parts[id(made)] = (made, probe, _viewed(func, args[1:], kwargs, part, where))

    @staticmethod
    def _is_view(func: Callable[..., Any], name: str) -> bool:
        attribute = getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else ""
        return name in VIEWS or attribute in TRANSPOSED

    def _product(
        self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        """Tell a probe of a product of exactly one part of a watched parameter and one other tensor."""
        skipped = 1 if name in ADDING else 0
        # the first two: a third is the bias of linear, or the offsets of grouped_mm
        places = [n for n, each in enumerate(args) if n >= skipped and isinstance(each, Tensor)][:2]
        ours = [n for n in places if id(args[n]) in self._parts]
        if len(places) != 2 or len(ours) != 1 or not isinstance(result, Tensor):
            return
        (at,) = ours
        (other,) = (n for n in places if n != at)
        _, probe, part = self._parts[id(args[at])]

        def multiply(inputs: Tensor, weight: Tensor) -> Tensor:
            pair = (weight, inputs) if at < other else (inputs, weight)
            if name == "linear":
                # without its bias
                return F.linear(*pair)
            if name in ADDING:
                # without what is added
                return torch.matmul(*pair)
            filled = [*args]
            filled[at], filled[other] = weight, inputs
            made: Tensor = func(*filled, **kwargs)
            return made

        probe.saw(_Product(args[other].detach(), multiply, part), result)


def _whole(weight: Tensor) -> Tensor:
    return weight


def _viewed(
    func: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any], part: Apply, where: int | None
) -> Apply:
    """The same view of whatever stands in the place of the parameter."""

    def apply(whole: Tensor) -> Any:
        made = func(part(whole), *rest, **kwargs)
        return made if where is None else made[where]

    return apply


@contextmanager
def parameter_probes(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Iterator[dict[str, ParameterProbe]]:
    """Watch parameters, until the block ends; by name. Those that no product was seen with measure nothing."""
    probes = {name: ParameterProbe(parameter) for name, parameter in parameters.items()}
    if not probes:
        yield probes
        return
    watcher = _Watcher(probes)
    handle = model.register_forward_pre_hook(watcher.next_pass)
    try:
        with watcher:
            yield probes
    finally:
        handle.remove()
