"""What a layer has to do in a training step: all that its speed depends on beside the machine."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import torch

from smupar_transfer.kernels import native_problem
from smupar_transfer.sparsity.autotune.decision import DENSE

STEPS_AN_OCTAVE = 4
"""Of density: layers that are closer than that share their timings."""
WRITTEN = re.compile(
    r"(?P<fan_out>\d+)x(?P<fan_in>\d+), (?:full|(?P<nonzero>\d+) weights), (?P<tokens>\d+) tokens, "
    r"torch\.(?P<dtype>\w+) in torch\.(?P<precision>\w+), (?:(?P<threads>\d+) threads|(?P<device>.+))"
)
"""A workload as a text."""


@dataclass(frozen=True)
class Workload:
    """One layer, one training step.

    Attributes:
        fan_out: The number of the layer's outputs.
        fan_in: The number of the layer's inputs.
        nonzero: The number of weights that exist.
        full: Whether the mask takes nothing away, so that the layer is dense.
        tokens: The number of rows of the input a step, at least 1.
        threads: The number of threads of the numerical library.
        dtype: The type of the weight.
        device: What computes: "cpu", "cuda" or "cuda:N".
        precision: The type that ``torch.autocast`` asks products to be computed in; float32 means that it is off.
    """

    fan_out: int
    fan_in: int
    nonzero: int
    full: bool
    tokens: int
    threads: int
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    precision: torch.dtype = torch.float32

    @property
    def size(self) -> int:
        """Entries of the weight, zeros included."""
        return self.fan_out * self.fan_in

    def on_grid(self) -> Workload:
        """The nearest work that is measured: tokens at a power of two, density at a quarter of an octave."""
        octaves = math.log2(max(1, self.nonzero) / self.size)
        density = 2.0 ** (round(STEPS_AN_OCTAVE * octaves) / STEPS_AN_OCTAVE)
        return replace(
            self, nonzero=max(1, round(self.size * density)), tokens=2 ** round(math.log2(max(1, self.tokens)))
        )

    def candidates(self) -> tuple[str, ...]:
        """Backends that can do it here."""
        if self.full:
            return (DENSE,)
        names = ["masked", "expand"]
        if self.dtype == torch.float32 and self.device == "cpu" and native_problem() is None:
            names.append("native")
        if self.dtype in (torch.float32, torch.float64):
            names.append("csr")
        return tuple(names)

    def __str__(self) -> str:
        kind = "full" if self.full else f"{self.nonzero} weights"
        types = f"{self.dtype} in {self.precision}"
        return f"{self.fan_out}x{self.fan_in}, {kind}, {self.tokens} tokens, {types}, {self._where()}"

    @classmethod
    def read(cls, text: str) -> Workload | None:
        """The work whose text this is; None for any other text, and for that of a device that is not here."""
        found = WRITTEN.fullmatch(text)
        if found is None:
            return None
        fan_out, fan_in, tokens = (int(found[name]) for name in ("fan_out", "fan_in", "tokens"))
        full, size = found["nonzero"] is None, fan_out * fan_in
        nonzero = size if full else int(found["nonzero"])
        dtype, precision = (getattr(torch, found[name], None) for name in ("dtype", "precision"))
        if not (isinstance(dtype, torch.dtype) and isinstance(precision, torch.dtype)):
            return None
        device = "cpu" if found["threads"] else "cuda"
        threads = int(found["threads"] or 1)
        work = cls(fan_out, fan_in, nonzero, full, tokens, threads, dtype, device, precision)
        return work if str(work) == text else None

    def _where(self) -> str:
        if self.device == "cpu":
            return f"{self.threads} threads"
        if self.device.startswith("cuda") and torch.cuda.is_available():
            return str(torch.cuda.get_device_name(self.device))
        return self.device  # of another machine, say
