"""What a person is told where another precision would compute sparse layers much faster on this machine."""

from __future__ import annotations

from dataclasses import replace

from smupar_transfer.records import ModuleSpec, Precision, RunSpec
from smupar_transfer.sparsity import AUTO
from smupar_transfer.training.estimate import estimate_step
from smupar_transfer.training.runs import Execution

MUCH_FASTER = 1.25
"""Times as fast: less is not worth another precision."""
LONG_SECONDS = 60.0
"""That sparse layers take in a run: for shorter ones the other precision is not even measured."""


def faster_precision(spec: RunSpec, execution: Execution) -> str:
    """One line about the other precision, from calibrated layers; empty where there is nothing to say.

    ``auto`` chooses among backends, never among precisions: results differ by more than rounding of their last digits.
    Under a backend that was named, nothing is measured and nothing said.
    """
    if execution.backend != AUTO or isinstance(spec.model, ModuleSpec):
        return ""
    if estimate_step(spec, execution).layer_seconds * spec.budget.steps < LONG_SECONDS:
        return ""
    # compared on one thread, where calibration counts processor time: with more, a busy machine spoils either number
    execution = replace(execution, threads=1)
    own = estimate_step(spec, execution).layer_seconds
    other = Precision.FLOAT32 if spec.precision is Precision.BFLOAT16 else Precision.BFLOAT16
    others = estimate_step(replace(spec, precision=other), execution).layer_seconds
    if own < MUCH_FASTER * others:
        return ""
    return (
        f"precision={other} would compute the layers that may be sparse {own / others:.1f} times as fast here, "
        f"on one thread: {1e3 * others:,.0f} ms a step instead of {1e3 * own:,.0f} under precision={spec.precision}"
    )
