"""What a sweep asks."""

from __future__ import annotations

import pytest

from smupar_transfer.records import Design
from smupar_transfer.records.design import AXES


def test_the_default_is_the_papers_question() -> None:
    design = Design()
    assert (design.kind, design.swept, design.axis, design.tied) == ("stability", ("learning_rate",), "sparsity", ())


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_is_taken(axis: str) -> None:
    assert Design(axis=axis).axis == axis


@pytest.mark.parametrize(("axis", "tied"), [("seed", ()), ("width", ("width",))])
def test_an_axis_that_is_none_or_tied_is_refused(axis: str, tied: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=axis):
        Design(axis=axis, tied=tied)
