"""Words are members of enumerations or are refused: a text never takes the other branch without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, get_type_hints

import pytest

import smupar_transfer.records
import smupar_transfer.theory
from smupar_transfer.records import GPTSpec, Precision, RunSpec
from smupar_transfer.theory import InputError, OptimizerSettings, choose


def fields_with_choices() -> Iterator[tuple[type[Any], str, type[StrEnum]]]:
    """Every field of a specification that is typed as an enumeration."""
    for module in (smupar_transfer.theory, smupar_transfer.records):
        for kind in (getattr(module, name) for name in module.__all__):
            if isinstance(kind, type) and is_dataclass(kind):
                for name, hint in get_type_hints(kind).items():
                    if isinstance(hint, type) and issubclass(hint, StrEnum):
                        yield kind, name, hint


CASES = list(fields_with_choices())


def made(kind: type[Any], **changes: Any) -> Any:
    """An instance; what has no default is 8, which is allowed."""
    needed = {field.name: 8 for field in fields(kind) if field.default is MISSING}
    return kind(**{**needed, **changes})


def test_every_choice_is_covered() -> None:
    names = {(kind.__name__, name) for kind, name, _ in CASES}
    assert {("OptimizerSettings", "weight_decay_form"), ("GPTSpec", "activation"), ("RunSpec", "precision")} <= names
    assert len(names) >= 6


@pytest.mark.parametrize(("kind", "name", "choices"), [case for case in CASES if case[0] is not RunSpec], ids=str)
def test_a_text_becomes_the_member_that_it_names(kind: type[Any], name: str, choices: type[StrEnum]) -> None:
    """Guards against comparisons by identity with a text, which take the other branch without a word."""
    for member in choices:
        assert getattr(made(kind, **{name: str(member)}), name) is member
        assert made(kind, **{name: str(member)}) == made(kind, **{name: member})


@pytest.mark.parametrize(("kind", "name", "choices"), [case for case in CASES if case[0] is not RunSpec], ids=str)
def test_another_text_is_refused_with_its_key(kind: type[Any], name: str, choices: type[StrEnum]) -> None:
    for wrong in ("nosuch", "", None, 1):
        with pytest.raises(InputError, match=rf"{name}=.*is not one of {next(iter(choices))}"):
            made(kind, **{name: wrong})


def test_a_run_takes_its_precision_from_a_text() -> None:
    data = smupar_transfer.records.DataSpec("none", "00", 1, 1)
    run = RunSpec(
        model=GPTSpec(16, 1, 8, 8, 8),
        base_width=16,
        sparsity=smupar_transfer.records.SparsitySpec(),
        parametrization="sp",
        hparams=smupar_transfer.theory.BaseHyperparameters(0.1, 0.1),
        optimizer=OptimizerSettings(),
        data=data,
        budget=smupar_transfer.records.BudgetSpec(1, 1),
        precision="bfloat16",  # type: ignore[arg-type]
    )
    assert run.precision is Precision.BFLOAT16


def test_a_member_and_its_text_are_chosen() -> None:
    assert choose(Precision, "precision", "bfloat16") is choose(Precision, "precision", Precision.BFLOAT16)
    with pytest.raises(InputError, match=r"^precision=BFLOAT16: is not one of float32, bfloat16"):
        choose(Precision, "precision", "BFLOAT16")
