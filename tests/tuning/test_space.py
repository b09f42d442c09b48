"""What is searched, and over what range."""

from __future__ import annotations

import math
from dataclasses import fields

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import FixedTrial

from smupar_transfer.theory import BaseHyperparameters, InputError
from smupar_transfer.tuning import Range, SearchSpace

DEFAULTS = BaseHyperparameters(0.01, 0.1, 2.0, 3.0, 0.5)
NAMES = [field.name for field in fields(BaseHyperparameters)]


@pytest.mark.parametrize(
    ("ranges", "key", "problem"),
    [
        ({}, "tuning.space", "names no hyperparameter"),
        ({"learning_rat": Range(0.1, 1.0)}, "tuning.space.learning_rat", "is not one of learning_rate"),
        ({"init_std": Range(1.0, 1.0)}, "tuning.space.init_std", "low must be less"),
        ({"init_std": Range(2.0, 1.0)}, "tuning.space.init_std", "low must be less"),
        ({"init_std": Range(1.0, math.inf)}, "tuning.space.init_std", "low must be less"),
        ({"init_std": Range(math.nan, 1.0)}, "tuning.space.init_std", "low must be less"),
        ({"weight_decay": Range(0.0, 1.0)}, "tuning.space.weight_decay", "logarithmic"),
        ({"learning_rate": Range(0.1, 1.0), "init_std": Range(-1.0, 1.0)}, "tuning.space.init_std", "logarithmic"),
    ],
)
def test_an_impossible_space_is_refused_by_its_key(ranges: dict[str, Range], key: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        SearchSpace(ranges)
    assert caught.value.key == key


def test_a_range_without_hyperparameters_in_it_is_refused() -> None:
    # Anything negative would only be found out in the middle of a search.
    with pytest.raises(InputError, match=r"tuning\.space\.learning_rate"):
        SearchSpace({"learning_rate": Range(-1.0, 1.0, log=False)})


def test_a_linear_range_may_reach_zero() -> None:
    assert SearchSpace({"weight_decay": Range(0.0, 1.0, log=False)}).first_point(DEFAULTS) == {"weight_decay": 0.5}


def test_a_point_replaces_what_is_searched_and_keeps_the_rest() -> None:
    space = SearchSpace({"learning_rate": Range(0.001, 0.1), "weight_decay": Range(0.0, 1.0, log=False)})
    trial = FixedTrial({"learning_rate": 0.02, "weight_decay": 0.0})
    point = space.suggest(trial, DEFAULTS)  # type: ignore[arg-type]
    assert point == BaseHyperparameters(0.02, 0.1, 2.0, 3.0, 0.0)


def test_a_trial_is_asked_with_the_ranges_as_given() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    SearchSpace({"learning_rate": Range(0.001, 0.1), "init_std": Range(0.1, 0.4, log=False)}).suggest(trial, DEFAULTS)
    assert trial.distributions == {
        "learning_rate": FloatDistribution(0.001, 0.1, log=True),
        "init_std": FloatDistribution(0.1, 0.4, log=False),
    }


@given(st.sampled_from(NAMES), st.floats(1e-6, 1e3), st.floats(1.01, 1e3))
def test_the_first_point_is_the_defaults_moved_into_the_ranges(name: str, low: float, ratio: float) -> None:
    axis, default = Range(low, low * ratio), getattr(DEFAULTS, name)
    (first,) = SearchSpace({name: axis}).first_point(DEFAULTS).values()
    assert axis.low <= first <= axis.high
    if axis.low <= default <= axis.high:
        assert first == default
    else:
        assert first == (axis.low if default < axis.low else axis.high)
