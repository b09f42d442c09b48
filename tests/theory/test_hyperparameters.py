from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields

import pytest

from smupar_transfer.theory import BaseHyperparameters, InputError

GOOD = {
    "learning_rate": 1.62e-2,
    "init_std": 0.0866,
    "input_multiplier": 9.17,
    "output_multiplier": 1.095,
    "weight_decay": 0.1,
    "init_scale": 1.5,
}
MUST_BE_POSITIVE = [name for name in GOOD if name != "weight_decay"]


def test_every_field_is_covered_here() -> None:
    assert [field.name for field in fields(BaseHyperparameters)] == list(GOOD)


def test_multipliers_are_neutral_and_decay_is_off_unless_given() -> None:
    base = BaseHyperparameters(learning_rate=0.01, init_std=0.02)
    assert (base.input_multiplier, base.output_multiplier, base.weight_decay) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [-1e-12, math.nan, math.inf, -math.inf])
def test_impossible_values_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^hparams.{name}={value!r}: must be finite and not negative"):
        BaseHyperparameters(**{**GOOD, name: value})


@pytest.mark.parametrize("name", MUST_BE_POSITIVE)
def test_zero_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=f"^hparams.{name}=0.0: must be positive"):
        BaseHyperparameters(**{**GOOD, name: 0.0})


def test_no_weight_decay_is_a_choice() -> None:
    assert BaseHyperparameters(**{**GOOD, "weight_decay": 0.0}).weight_decay == 0.0


def test_smallest_values_are_accepted() -> None:
    BaseHyperparameters(**dict.fromkeys(GOOD, 5e-324))


def test_immutable() -> None:
    base = BaseHyperparameters(**GOOD)
    with pytest.raises(FrozenInstanceError):
        base.learning_rate = 1.0  # type: ignore[misc]
