"""Which backend computes, given the times."""

from __future__ import annotations

import pytest

from smupar_transfer.sparsity import DENSE
from smupar_transfer.sparsity.autotune.decision import MARGIN, fastest


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param({"masked": 1.0, "native": 0.5, "csr": 0.7}, "native", id="the fastest of two faster ones"),
        pytest.param({"masked": 1.0, "native": 0.9, "csr": 0.2}, "csr", id="whatever its name"),
        pytest.param({"masked": 1.0, "native": 3.0, "csr": 2.0}, "masked", id="both rivals are slower"),
        pytest.param({"masked": 1.0}, "masked", id="there is no rival"),
        pytest.param({"masked": 1.0, "native": 1.0}, "masked", id="a tie"),
        pytest.param({DENSE: 1.0}, DENSE, id="nothing is missing"),
    ],
)
def test_the_fastest_computes(seconds: dict[str, float], expected: str) -> None:
    assert fastest(seconds) == expected


@pytest.mark.parametrize(
    ("part", "expected"), [(1 - MARGIN, "masked"), (1 - 0.9 * MARGIN, "masked"), (1 - 1.1 * MARGIN, "native")]
)
def test_a_rival_must_win_by_more_than_noise(part: float, expected: str) -> None:
    """The last case is the control: with a plain minimum the first two would be native, too."""
    assert fastest({"masked": 2.0, "native": 2.0 * part}) == expected
    assert min({"masked": 2.0, "native": 2.0 * part}.items(), key=lambda item: item[1])[0] == "native"


def test_without_masked_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(KeyError):
        fastest({"native": 1.0, "csr": 2.0})
