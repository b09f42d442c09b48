"""What the roles of parameters are decided by: module types, shapes against a base, a forward pass, a person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from torch import nn

from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer.contractions import Use
from smupar_transfer.transfer.layouts import Layout, layouts_of, stored_name
from smupar_transfer.transfer.names import canonical_names, join

Override = Role | str | tuple[Role | str, int]
"""A role or its name; with the axis that is summed over where that is not the last one."""


@dataclass(frozen=True)
class Evidence:
    """All that roles are decided by.

    Attributes:
        network: The network whose parameters are claimed; it may lie on the meta device.
        base: The same architecture at the shape at which the base hyperparameters were tuned.
        delta: The same architecture at one more shape, where base and network agree in a dimension that is varied.
        uses: What a forward pass of the base did with its parameters; empty without one.
        roles: Patterns of names to what a person says; the first that matches counts.
        matters: Whether a parameter's role changes anything where no dimension grows.
    """

    network: nn.Module
    base: nn.Module
    delta: nn.Module | None = None
    uses: Mapping[str, Use] = field(default_factory=dict)
    roles: Mapping[str, Override] = field(default_factory=dict)
    matters: bool = True

    @cached_property
    def layouts(self) -> dict[str, Layout]:
        """The layouts of weights whose module's type is known; of shared ones, the embedding's if there is one."""
        layouts: dict[str, Layout] = {}
        for name, layout in self._weights:
            if name not in layouts or layout.role is Role.EMBEDDING:
                layouts[name] = layout
        return layouts

    @cached_property
    def _weights(self) -> list[tuple[str, Layout]]:
        """Every use of a weight by a module whose type is known; a shared weight has several."""
        # by identity: of the names of a shared weight, `named_parameters` gives the first alone
        named = {id(parameter): name for name, parameter in self.network.named_parameters()}
        weights = []
        for prefix, module in self.network.named_modules():
            for leaf, layout in layouts_of(module).items():
                name = join(prefix, stored_name(module, leaf))
                path, _, last = name.rpartition(".")
                stored = self.network.get_submodule(path)._parameters.get(last)
                weights.append((named.get(id(stored), name), layout))
        return weights

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """The prefixes of names of what stands in a list of modules: blocks that a network repeats."""
        lists = [name for name, module in self.network.named_modules() if isinstance(module, nn.ModuleList)]
        # with the dot: blocks in `h` say nothing of `head`
        return tuple(f"{name}." for name in lists)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the network's parameters."""
        return dense_shapes(self.network)

    @cached_property
    def base_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the base's parameters.

        Raises:
            InputError: the base has other parameters than the network.
        """
        return _aligned(self.shapes, self.base, "base")

    @cached_property
    def growing(self) -> dict[str, frozenset[int]]:
        """The axes of every parameter along which the network, or the delta, differs from the base."""
        others = [self.shapes] + ([] if self.delta is None else [_aligned(self.shapes, self.delta, "delta")])
        return {
            name: frozenset(axis for other in others for axis, size in enumerate(shape) if other[name][axis] != size)
            for name, shape in self.base_shapes.items()
        }

    @cached_property
    def anything_grows(self) -> bool:
        """Whether any dimension of any parameter tells widths apart."""
        return any(self.growing.values())

    @cached_property
    def readouts(self) -> dict[str, Layout]:
        """The weights of known layouts whose inputs grow and whose outputs do not, shared with an embedding or not."""
        growing = self.growing
        return {
            name: layout
            for name, layout in self._weights
            # some modules have a name for a weight that they have not
            if name in growing and not growing[name].isdisjoint(layout.inputs) and layout.output not in growing[name]
        }

    def base_parameter(self, name: str) -> nn.Parameter:
        """The parameter of the base that stands where one of the network does."""
        return self._base_parameters[self._names[name]]

    @cached_property
    def _base_parameters(self) -> dict[str, nn.Parameter]:
        parameters = dict(self.base.named_parameters())
        return {name: parameters[stored] for stored, name in canonical_names(parameters).items()}

    @cached_property
    def _names(self) -> dict[str, str]:
        return canonical_names(self.shapes)

    def ratio(self, name: str, axes: tuple[int, ...]) -> float:
        """The product of some dimensions of a parameter over that of the base."""
        return product(self.shapes[name], axes) / product(self.base_shapes[name], axes)

    def use(self, name: str) -> Use:
        """What a forward pass of the base did with a parameter; nothing, where there was none."""
        return self._uses.get(self._names[name], Use())

    @cached_property
    def _uses(self) -> dict[str, Use]:
        return {name: self.uses[stored] for stored, name in canonical_names(self.uses).items()}

    def override(self, name: str) -> tuple[str, Override] | None:
        """What a person says of a parameter, with the pattern."""
        # not fnmatch, to which capitals are small letters on some systems
        matching = ((pattern, said) for pattern, said in self.roles.items() if fnmatchcase(name, pattern))
        return next(matching, None)


def _aligned(shapes: Mapping[str, tuple[int, ...]], other: nn.Module, which: str) -> dict[str, tuple[int, ...]]:
    """The shapes of another network, by the names of the first, whatever has taken its weights in either of them.

    Raises:
        InputError: it has other parameters, or of another number of dimensions.
    """
    stored = dense_shapes(other)
    theirs = {name: stored[own] for own, name in canonical_names(stored).items()}
    names, aligned = canonical_names(shapes), {}
    for name, shape in shapes.items():
        if names[name] not in theirs:
            problem = f"the {which} has no such parameter"
            raise InputError("parameter", name, problem, "make both from one function, of one depth, at two widths")
        aligned[name] = theirs.pop(names[name])
        if len(aligned[name]) != len(shape):
            problem = f"has {len(shape)} dimensions, and {len(aligned[name])} in the {which}"
            raise InputError("parameter", name, problem, "make both from one function")
    if theirs:
        problem = f"only the {which} has it"
        raise InputError("parameter", next(iter(theirs)), problem, "make both from one function, of one depth")
    return aligned


def dense_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """The dense shapes of a network's parameters.

    Raises:
        InputError: a lazy parameter has no shape yet, or a parameter is empty.
    """
    shapes = {}
    for name, parameter in network.named_parameters():
        # first: a lazy parameter raises an error of its own if it is asked for its shape
        if isinstance(parameter, nn.UninitializedParameter):
            raise InputError("parameter", name, "has no shape yet", "run the lazy module once, then plan")
        shapes[name] = tuple(parameter.shape)
        # most likely what this rank has of a sharded weight
        if 0 in shapes[name]:
            raise InputError("parameter", name, f"is empty: {shapes[name]}", "plan before anything shards the model")
    for prefix, module in network.named_modules():
        for leaf, layout in layouts_of(module).items():
            name = join(prefix, leaf)
            # the backend of a sparse layer may store less than the dense matrix (decision 5)
            if layout.shape is not None and name in shapes:
                shapes[name] = layout.shape
    return shapes


def product(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """The product of some dimensions of a shape; 1 for none."""
    return math.prod(shape[axis] for axis in axes)
