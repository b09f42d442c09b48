"""What is left open by all evidence: one error that lists it, with the line to paste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.names import without_numbers

SHOWN = 12
"""Patterns that the message lists; a network has few kinds of parameters, however many layers."""


@dataclass(frozen=True)
class OpenParameter:
    """A parameter whose role nothing decides.

    Attributes:
        name: The name, as in ``named_parameters``.
        shape: The shape in the network.
        base: The shape in the base.
    """

    name: str
    shape: tuple[int, ...]
    base: tuple[int, ...]

    @property
    def pattern(self) -> str:
        """The name with a ``*`` for every number in it, as ``roles`` takes it."""
        return without_numbers(self.name)


class OpenRolesError(InputError):
    """Parameters whose role neither their modules, nor their shapes, nor a forward pass, nor the person decides.

    Args:
        parameters: All of them.
        anything_grows: Whether any dimension of the network differs from the base's.

    Attributes:
        parameters: All of them.
    """

    def __init__(self, parameters: Sequence[OpenParameter], *, anything_grows: bool) -> None:
        self.parameters, self.anything_grows = tuple(parameters), anything_grows
        super().__init__("roles", "", "leaves roles open")

    # that of `InputError` would call this class with a key, a value and a problem
    def __reduce__(self) -> Any:
        return _restore, (self.parameters, self.anything_grows)

    def __str__(self) -> str:
        # many lines: those of other errors have one, in which such a list would lose its middle
        kinds: dict[str, list[OpenParameter]] = {}
        for parameter in self.parameters:
            kinds.setdefault(parameter.pattern, []).append(parameter)
        lines = [f"roles: nothing decides what {_count(len(self.parameters), 'parameter')} do"]
        for pattern, members in list(kinds.items())[:SHOWN]:
            first = members[0]
            many = f"  [{len(members)} of them]" if len(members) > 1 else ""
            lines.append(f"  {pattern}  {first.base} at the base, {first.shape} here{many}")
        if len(kinds) > SHOWN:
            lines.append(f"  and {len(kinds) - SHOWN} more patterns")
        lines.append(self._remedy())
        return "\n".join(lines)

    def _guess(self, pattern: str) -> str:
        """What it most likely is: weights between layers grow along two dimensions, and biases say that they are."""
        if pattern.endswith("bias"):
            return "vector"
        first = next(parameter for parameter in self.parameters if parameter.pattern == pattern)
        grown = [axis for axis, (own, base) in enumerate(zip(first.shape, first.base, strict=True)) if own != base]
        if len(grown) != 1:
            return "hidden"
        return "embedding" if grown == [0] else "readout"  # outputs come first, as torch has it

    @property
    def line(self) -> str:
        """The line to paste: a guess for every pattern of names."""
        patterns = list(dict.fromkeys(parameter.pattern for parameter in self.parameters))[:SHOWN]
        said = ", ".join(f'"{pattern}": "{self._guess(pattern)}"' for pattern in patterns)
        return f"roles={{{said}}}"

    def _remedy(self) -> str:
        first = "give sample=(a tiny batch), which lets a forward pass decide"
        if not self.anything_grows:
            first = "the base has the network's own shape: give delta=(the same model at another width)"
        axis = 'a tuple ("hidden", axis) says which axis is summed over, if it is not the last'
        return f"{first}; or say it (hidden, embedding, readout or vector; {axis}):\n  {self.line}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _restore(parameters: Sequence[OpenParameter], anything_grows: bool) -> OpenRolesError:
    return OpenRolesError(parameters, anything_grows=anything_grows)
