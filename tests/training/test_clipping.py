"""The norm that a clip bounds: torch's own, or one that is the same at every width and density."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from smupar_transfer.records import RunSpec, SparsitySpec
from smupar_transfer.theory import ClipNorm, InputError, OptimizerSettings
from smupar_transfer.training import Execution, TokenData
from smupar_transfer.training.loop import Session, compute_gradients
from smupar_transfer.training.runs import open_session

SCALED = OptimizerSettings(clip_norm=ClipNorm.SCALED)


def with_gradients(spec: RunSpec, corpus: TokenData) -> Session:
    session, _ = open_session(spec, corpus, Execution())
    compute_gradients(session)
    return session


def sized(spec: RunSpec, width: int, density: float, settings: OptimizerSettings, seed: int = 0) -> RunSpec:
    model = replace(spec.model, width=width)
    return replace(spec, model=model, sparsity=SparsitySpec(density), optimizer=settings, seed=seed)


def norm(spec: RunSpec, corpus: TokenData, width: int, density: float, settings: OptimizerSettings) -> float:
    """Before the first step, a mean over seeds."""
    sessions = [with_gradients(sized(spec, width, density, settings, seed), corpus) for seed in range(4)]
    return sum(float(session.norm.measure()) for session in sessions) / len(sessions)


def test_the_global_norm_is_torchs_to_the_last_bit(spec: RunSpec, corpus: TokenData) -> None:
    ours, theirs = (with_gradients(spec, corpus) for _ in range(2))
    total = torch.nn.utils.clip_grad_norm_(theirs.network.parameters(), 0.01)
    assert torch.equal(ours.norm.measure(), total)
    ours.norm.clip_(0.01)
    for own, other in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        assert torch.equal(own.grad, other.grad)


def test_at_the_proxy_the_scaled_norm_is_the_global_one(spec: RunSpec, corpus: TokenData) -> None:
    plain, scaled = (
        with_gradients(sized(spec, spec.base_width, 1.0, settings), corpus)
        for settings in (OptimizerSettings(), SCALED)
    )
    assert torch.equal(plain.norm.measure(), scaled.norm.measure())


@pytest.mark.parametrize(("width", "density"), [(256, 1.0), (256, 0.125), (32, 0.25)])
def test_the_scaled_norm_stays_over_width_and_density(
    spec: RunSpec, corpus: TokenData, width: int, density: float
) -> None:
    spec = replace(spec, base_width=32)
    at_proxy = norm(spec, corpus, 32, 1.0, SCALED)
    assert norm(spec, corpus, width, density, SCALED) == pytest.approx(at_proxy, rel=0.25)
    # the control: what torch would clip by does not stay
    assert norm(spec, corpus, width, density, OptimizerSettings()) != pytest.approx(at_proxy, rel=0.25)


def test_clipping_bounds_the_scaled_norm_and_keeps_the_direction(spec: RunSpec, corpus: TokenData) -> None:
    session = with_gradients(sized(spec, 64, 0.25, SCALED), corpus)
    before = {name: parameter.grad.clone() for name, parameter in session.network.named_parameters()}  # type: ignore[union-attr]
    largest = float(session.norm.measure()) / 3
    session.norm.clip_(largest)
    assert float(session.norm.measure()) == pytest.approx(largest, rel=1e-4)
    for name, parameter in session.network.named_parameters():
        torch.testing.assert_close(parameter.grad, before[name] / 3, rtol=1e-4, atol=0)


def test_a_norm_below_the_bound_is_left_alone(spec: RunSpec, corpus: TokenData) -> None:
    session = with_gradients(sized(spec, 64, 0.25, SCALED), corpus)
    before = float(session.norm.measure())
    session.norm.clip_(2 * before)
    assert float(session.norm.measure()) == before


@pytest.mark.parametrize("name", ["sp", "sp_embedding"])
def test_a_table_that_says_nothing_of_norms_has_no_scaled_one(spec: RunSpec, name: str) -> None:
    with pytest.raises(InputError, match=rf"^optimizer.clip_norm=scaled: is not known of parametrization={name}"):
        replace(spec, parametrization=name, optimizer=SCALED)


def test_without_a_clip_there_is_no_norm_to_scale() -> None:
    with pytest.raises(InputError, match=r"^optimizer.clip_norm=scaled: .*gradient_clip is 0"):
        OptimizerSettings(gradient_clip=0, clip_norm=ClipNorm.SCALED)
