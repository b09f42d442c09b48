"""What the gradient clip does to the sizes of a coordinate check under SGD, and under rules like it.

Clipping multiplies all gradients of a step with min(1, clip / norm). Adam's updates do not depend on the size of
gradients, SGD's are proportional to it: where the norm of all gradients changes with density or width, the updates of
every layer do, whatever the parametrization.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.theory import UpdateSize


@dataclass(frozen=True)
class Clipping:
    """What the gradient clip did in runs under one parametrization, whose updates depend on the size of gradients.

    Attributes:
        acted: The number of steps in which gradients were clipped; of records that do not say so, all of them.
        steps: The number of all steps that were taken.
        known: Whether all records say whether the clip acted.
        taken_out: Whether sizes of first updates are those without the clip.
        optimizer: What sentences call the update rule.
    """

    acted: int
    steps: int
    known: bool
    taken_out: bool
    optimizer: str

    def __str__(self) -> str:
        acted = "acted" if self.known else "may have acted"
        return f"the gradient clip {acted} in {self.acted} of {self.steps} steps of {self.optimizer}"


def clipping_of(records: Sequence[CoordinateRecord]) -> Clipping | None:
    """What the clip did in the runs of one parametrization; None if it changed no size.

    That is so where updates do not depend on the size of gradients, without a clip, and where the norm of the gradients
    stayed below it in every step.
    """
    if not any(_is_reached(record) for record in records):
        return None
    known = all(record.clip_factors for record in records)
    # sizes are measured once more after the last step, so that a run which ended has a loss more than it took steps
    taken = [len(record.losses) - (not record.diverged) for record in records]
    acted = [
        sum(factor < 1 for factor in record.clip_factors) if record.clip_factors else steps
        for record, steps in zip(records, taken, strict=True)
    ]
    if not sum(acted):
        return None
    taken_out = known and all(_is_proportional(record) for record in records)
    return Clipping(sum(acted), sum(taken), known, taken_out, records[0].spec.optimizer.rule.title)


def first_clip(record: CoordinateRecord) -> float:
    """What the clip multiplied the first update with, where that can be taken out of it again; else 1.

    It cannot with weight decay, whose part of the update is not clipped, nor under rules whose updates are not known to
    be proportional to gradients, nor of records that hold no norms.
    """
    return record.clip_factors[0] if record.clip_factors and _is_proportional(record) else 1.0


def _is_reached(record: CoordinateRecord) -> bool:
    """Whether the clip can have changed sizes; of a rule of which theory knows nothing, it can."""
    optimizer = record.spec.optimizer
    return optimizer.rule.size is not UpdateSize.FIXED and optimizer.gradient_clip > 0


def _is_proportional(record: CoordinateRecord) -> bool:
    is_decayed = record.spec.hparams.weight_decay > 0
    return record.spec.optimizer.rule.size is UpdateSize.PROPORTIONAL and not is_decayed
