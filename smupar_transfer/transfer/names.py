"""Names of parameters, whatever has wrapped the network or its weights since."""

from __future__ import annotations

WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Modules that DistributedDataParallel, ``torch.compile``, FSDP and activation checkpointing put around others."""
PARAMETRIZED = ".parametrizations."


def join(path: str, name: str) -> str:
    """The name of what stands in a module, seen from the network; the network itself has no path."""
    return f"{path}.{name}" if path else name


def bare(name: str) -> str:
    """A name without the wrappers around the network or around modules inside of it.

    Only whole components are taken away, ``module`` at the front alone: a network may have a module of that name.
    """
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in WRAPPERS:
        parts = parts[1:]
    return ".".join([part for part in parts[:-1] if part not in WRAPPERS[1:]] + parts[-1:])


def canonical(name: str) -> str:
    """The name that a weight had before ``torch.nn.utils.prune`` or a parametrization took it.

    ``layer.weight_orig`` and ``layer.parametrizations.weight.original`` are both ``layer.weight``.
    """
    owner, middle, rest = name.rpartition(PARAMETRIZED)
    if middle and rest.endswith(".original"):
        return f"{owner}.{rest.removesuffix('.original')}"
    return name.removesuffix("_orig")
