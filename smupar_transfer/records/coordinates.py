"""What a coordinate check measured on one run."""

from __future__ import annotations

from dataclasses import dataclass

from smupar_transfer.records.record import Environment
from smupar_transfer.records.spec import RunSpec

CLIP_MARGIN = 1e-6
"""What ``torch.nn.utils.clip_grad_norm_`` adds to the norm that it divides by."""


@dataclass(frozen=True)
class LayerSizes:
    """Sizes (root mean squares) at one hidden layer y = W x, an entry a step.

    Products are as the run computes them, also in bfloat16; dW x is computed in float32 from the float32 weights.

    Attributes:
        name: The name of the layer.
        density: The density that its mask really has.
        output: The value of rms(W x) at each time.
        activation: The value of rms(W x) / rms(x), before steps 0, 1, ... and after the last.
        gradient: The value of rms(W^T g) / rms(g) for the gradient g of y, at the same times.
        update: The value of rms(dW x) / rms(x) for the change dW that each step made, on the batch it was made from.
    """

    name: str
    density: float
    output: tuple[float, ...]
    activation: tuple[float, ...]
    gradient: tuple[float, ...]
    update: tuple[float, ...]


@dataclass(frozen=True)
class CoordinateRecord:
    """The sizes that were measured in the first steps of one run.

    Attributes:
        key: The key of ``spec``.
        spec: The run that was measured; its budget says how many optimizer steps were taken.
        losses: Training losses (nats), an entry a measured step; a run that diverged has fewer than steps + 1.
        layers: The sizes of every hidden layer, in the order in which the layers compute.
        wall_seconds: How long it took.
        environment: Where it ran.
        gradient_norms: The norm of all gradients together before they were clipped, an entry a step that was taken;
            empty in records of versions that did not measure it.
    """

    key: str
    spec: RunSpec
    losses: tuple[float, ...]
    layers: tuple[LayerSizes, ...]
    wall_seconds: float
    environment: Environment
    gradient_norms: tuple[float, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether the loss became infinite or undefined, which ended the measurement."""
        # a run that went well is measured once more after its last step
        return len(self.losses) <= self.spec.budget.steps

    @property
    def clip_factors(self) -> tuple[float, ...]:
        """What clipping multiplied the gradients of each step with, in (0, 1]; empty if norms were not measured."""
        # what torch multiplied gradients with: dividing an update by it takes the clip out again
        limit = self.spec.optimizer.gradient_clip
        return tuple(min(1.0, limit / (norm + CLIP_MARGIN)) if limit else 1.0 for norm in self.gradient_norms)
