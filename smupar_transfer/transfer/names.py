"""Names of parameters, whatever has wrapped the network or its weights since."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that DistributedDataParallel, ``torch.compile``, FSDP and activation checkpointing put around others."""
PARAMETRIZED = ".parametrizations."


def join(path: str, name: str) -> str:
    """The name of what stands in a module, seen from the network; the network itself has no path."""
    return f"{path}.{name}" if path else name


def without_numbers(name: str) -> str:
    """A name with a ``*`` for every number that is a component or stands between signs: of a layer, say."""
    # a digit that ends a word, as in `conv1`, is no number of a layer
    return re.sub(r"(?<![A-Za-z_])\d+(?![A-Za-z_])", "*", name)


def unwrapped(name: str) -> Iterator[str]:
    """What a parameter may have been called before wrappers came around its network or around modules inside of it.

    The name itself comes first, for a network may have a module called ``module``; only whole components are taken
    away, ``module`` at the front alone.
    """
    while True:
        parts = name.split(".")
        yield name
        # the last component is the parameter's own, whatever it is called
        yield ".".join([part for part in parts[:-1] if part not in WRAPPERS[1:]] + parts[-1:])
        if len(parts) == 1 or parts[0] not in WRAPPERS:
            return
        name = ".".join(parts[1:])


def canonical(name: str) -> str:
    """The name that a weight had before ``torch.nn.utils.prune`` or a parametrization took it.

    ``layer.weight_orig`` and ``layer.parametrizations.weight.original`` are both ``layer.weight``.
    """
    owner, middle, rest = name.rpartition(PARAMETRIZED)
    if middle and rest.endswith(".original"):
        return f"{owner}.{rest.removesuffix('.original')}"
    return name.removesuffix("_orig")


def canonical_names(names: Collection[str]) -> dict[str, str]:
    """Every name and its canonical one; a name whose canonical one is another parameter's keeps its own."""
    every = set(names)
    return {name: name if canonical(name) in every else canonical(name) for name in names}
