"""What a stack makes of its file, against the plan: every number that differs is told, none is passed over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from smupar_transfer.records import MLPSpec
from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer.exporters.exported import OTHERS, Exported, Stack
from smupar_transfer.transfer.exporters.patterns import starred
from smupar_transfer.transfer.parameters import ParameterPlan

SAME = 1e-9
"""Relative difference up to which numbers are the same: they are divided and multiplied again."""
TOLERABLE = 0.01
"""Relative difference of learning rates up to which it is told; beyond, the stack cannot train the recipe."""
MOST = 6
"""Pairs of different numbers that are told of one quantity."""
QUANTITIES = ("learning_rate", "weight_decay", "epsilon", "init_std")

Realised = Callable[[ParameterPlan], Mapping[str, float]]
"""What a stack trains a parameter with: those of ``QUANTITIES`` that its file decides."""


def differences(exported: Exported, stack: Stack, realised: Realised) -> list[str]:
    """Where the numbers of a stack are not those of the plan, a sentence each.

    Raises:
        InputError: a learning rate is another one by more than ``TOLERABLE``.
    """
    made = {row.name: realised(row) for row in exported.rows}
    lines = []
    for quantity in QUANTITIES:
        pairs: dict[tuple[float, float], list[ParameterPlan]] = {}
        for row in exported.rows:
            planned, has = float(getattr(row, quantity)), made[row.name].get(quantity)
            if has is None or math.isclose(planned, has, rel_tol=SAME):
                continue
            if quantity == "learning_rate" and not math.isclose(planned, has, rel_tol=TOLERABLE):
                problem = f"would train {row.name} at a rate of {has:.6g}, the recipe has {planned:.6g}"
                raise InputError("to", stack.format, problem, OTHERS)
            pairs.setdefault((planned, has), []).append(row)
        lines += [_sentence(exported, quantity, *pair) for pair in list(pairs.items())[:MOST]]
        if len(pairs) > MOST:
            lines.append(f"{_words(quantity)} of {len(pairs) - MOST} more kinds of parameters, see `smupar explain`")
    return lines


def unsaid(exported: Exported, *, initial: bool, multipliers: bool) -> list[str]:
    """What hardly any stack has words for.

    Args:
        exported: The recipe.
        initial: Whether the file leaves initial values out.
        multipliers: Whether the file leaves the constants of the forward pass out.
    """
    lines = masks(exported)
    if initial:
        lines.append(
            "initial values: " + ("the model's own, rescaled" if exported.is_own else _standard_deviations(exported))
        )
    if multipliers:
        lines += multiplier_lines(exported)
    return [*lines, "learning rates are peaks: warm-up and decay are the stack's own and must keep their ratios"]


def masks(exported: Exported) -> list[str]:
    """That weights are sparse, where they are."""
    densities = exported.densities
    if not densities:
        return []
    range_ = " to ".join(dict.fromkeys(f"{density:.6g}" for density in (densities[0], densities[-1])))
    number = sum(row.density < 1 for row in exported.rows)
    return [f"masks: {number} parameters keep a density of {range_}; nothing here draws or holds their masks"]


def multiplier_lines(exported: Exported) -> list[str]:
    """The constants of the forward pass, each for somebody to write into the model."""
    lines = [f"multiplier {factor!r}: {where}" for where, factor in exported.multiplied if factor != 1]
    return lines if isinstance(exported.model, MLPSpec) else [*lines, attention_line(exported)]


def attention_line(exported: Exported) -> str:
    """How products of queries and keys are scaled."""
    exponent = exported.table.attention_exponent
    if exported.attention_scale is None:
        return f"attention, where there is any: products of queries and keys must scale as d_head^{exponent:g}"
    return f"attention: products of queries and keys x d_head^{exponent:g} = {exported.attention_scale!r}"


def _standard_deviations(exported: Exported) -> str:
    by_role = {role: sorted({row.init_std for row in exported.of_role(role)}) for role in Role if role != Role.VECTOR}
    said = [
        f"{role} {' to '.join(dict.fromkeys(f'{std:.6g}' for std in (stds[0], stds[-1])))}"
        for role, stds in by_role.items()
        if stds
    ]
    return f"standard deviations {', '.join(said)}; norms start at one, biases at zero"


def _sentence(exported: Exported, quantity: str, values: tuple[float, float], rows: Iterable[ParameterPlan]) -> str:
    names = [row.name for row in rows]
    folded = starred(names, {row.name for row in exported.rows}.difference(names))
    shown = ", ".join(folded[:3]) + (f" and {len(folded) - 3} more" if len(folded) > 3 else "")
    planned, has = (f"{value:.6g}" for value in values)
    # six digits do not tell them apart
    if planned == has:
        planned, has = (repr(value) for value in values)
    return f"{_words(quantity)} of {shown}: {planned} in the recipe, {has} here"


def _words(quantity: str) -> str:
    return {"init_std": "standard deviation"}.get(quantity, quantity.replace("_", " "))
