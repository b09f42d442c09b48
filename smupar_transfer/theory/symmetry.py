"""A constant on a layer's output is worth the same as another initialisation and another learning rate."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from smupar_transfer.theory.errors import InputError
from smupar_transfer.theory.scaling import ScaledHyperparameters
from smupar_transfer.theory.update_rules import UpdateRule, UpdateSize


def without_multiplier(scaled: ScaledHyperparameters, rule: UpdateRule) -> ScaledHyperparameters:
    """The same training of the same function, with no constant on the layer's output.

    W, multiplied with c in the forward pass, is w = c W, whose gradient is 1/c of W's. A step of Adam is as large
    whatever the size of gradients, so that w moves as c W does at c times the rate; under SGD, at c^2 times the rate.
    The product of rate and weight decay stays (abc-parametrizations, Yang & Hu, arXiv 2011.14522, section 4).

    Raises:
        InputError: theory does not know how large the updates of the rule are, and there is a constant.
    """
    factor = scaled.forward_multiplier
    if factor == 1:
        return scaled
    match rule.size:
        case UpdateSize.FIXED:
            rate = factor
        case UpdateSize.PROPORTIONAL:
            rate = factor**2
        case UpdateSize.OTHER:
            problem = "has updates of unknown size, so that a multiplier cannot be turned into a learning rate"
            raise InputError("optimizer.name", rule.name, problem, "register it with the size of its updates")
        case _:
            assert_never(rule.size)
    return replace(
        scaled,
        init_std=scaled.init_std * factor,
        learning_rate=scaled.learning_rate * rate,
        weight_decay=scaled.weight_decay / rate,
        # Adam compares it with gradients, which are 1 / c of what they were
        epsilon=scaled.epsilon / factor,
        forward_multiplier=1.0,
    )
