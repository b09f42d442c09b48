"""Constants of the forward pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.model import Multipliers, build, multipliers
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import PARAMETRIZATIONS

SpecMaker = Callable[..., RunSpec]


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_a_gpt_has_those_of_the_papers_table(gpt: SpecMaker, name: str) -> None:
    """SuPar, Table 1: m_d is 4, the head 8 wide, the base multipliers 3 and 2."""
    standard = name in ("sp", "sp_embedding")
    expected = Multipliers(3.0, 2.0 if standard else 0.5, 8**-0.5 if standard else 1 / 8)
    assert multipliers(gpt(parametrization=name)) == expected


def test_they_do_not_depend_on_density(gpt: SpecMaker) -> None:
    assert multipliers(gpt(density=0.25)) == multipliers(gpt())


def test_the_network_holds_them(gpt: SpecMaker) -> None:
    network, _ = build(gpt())
    assert network.multipliers == multipliers(gpt())
    assert network.get_submodule("blocks.0.attention").scale == 1 / 8


def test_an_mlp_has_no_attention(mlp: SpecMaker) -> None:
    assert multipliers(mlp()) == Multipliers(3.0, 0.5, 1.0)
