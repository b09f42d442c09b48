"""One run, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smupar_transfer.model import build
from smupar_transfer.records import BudgetSpec, Evaluation, MaskKind, RunSpec, SparsitySpec
from smupar_transfer.sparsity import named_generator
from smupar_transfer.sparsity.backends.base import DenseBackend, MaskedBackend
from smupar_transfer.sparsity.mask_bits import unpack_bits
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import (
    EarlyValidation,
    Execution,
    Silent,
    TokenData,
    cross_entropy,
    make_optimizer,
    read_checkpoint,
    run,
)
from smupar_transfer.training.checkpoint import Progress
from smupar_transfer.training.clipping import GradientNorm
from smupar_transfer.training.loop import EXPLODED, Session, evaluation_steps, train, train_step, validate

MASKED = Execution(backend="masked")  # dense matrices, wherever the tests run
OpenSession = Callable[[RunSpec], Session]


class Witness(Silent):
    def __init__(self) -> None:
        self.starts: list[int] = []
        self.steps: list[tuple[int, float, int]] = []
        self.evaluations: list[Evaluation] = []

    def on_start(self, step: int) -> None:
        assert self.steps == []
        self.starts.append(step)

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.steps.append((step, loss, tokens))

    def on_evaluation(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)


@pytest.fixture
def open_session(corpus: TokenData) -> OpenSession:
    def opened(spec: RunSpec) -> Session:
        network, plan = build(spec)
        return Session(
            spec=spec,
            network=network,
            optimizer=make_optimizer(network, plan, spec.optimizer),
            data=corpus,
            batches=named_generator(spec.seed, "batches", "text"),
            validation=corpus.validation_batches(2, 4, 8),
            progress=Progress(),
            device=torch.device("cpu"),
            norm=GradientNorm.of(network, plan, spec.table, spec.optimizer),
        )

    return opened


def nothing() -> None:
    pass


def test_cheaper_validations_before_the_end_leave_the_end_as_it_is(spec: RunSpec, corpus: TokenData) -> None:
    spec = replace(spec, budget=replace(spec.budget, evaluation_batches=8))
    full, cheap = run(spec, corpus), run(spec, corpus, early=EarlyValidation(batches=2, first_step=6))
    assert [evaluation.step for evaluation in full.history] == [5, 10, 15, 20]
    assert [evaluation.step for evaluation in cheap.history] == [10, 15, 20]
    assert cheap.history[-1] == full.history[-1]
    assert (cheap.key, cheap.validation_loss, cheap.train_loss) == (full.key, full.validation_loss, full.train_loss)
    assert cheap.history[0].validation_loss != full.history[1].validation_loss  # of fewer batches


def test_few_validation_batches_are_those_evenly_spaced_among_all(open_session: OpenSession, spec: RunSpec) -> None:
    session = open_session(spec)
    session.validation, session.early = list(range(10)), EarlyValidation(batches=3)
    assert session.validation_batches() == [0, 3, 6]
    session.progress.step = spec.budget.steps
    assert session.validation_batches() == list(range(10))
    session.progress.step, session.early = 1, EarlyValidation(batches=10)
    assert session.validation_batches() == list(range(10))


def test_what_has_only_one_validation_is_validated_at_its_end_however_late_the_first_may_be() -> None:
    assert evaluation_steps(BudgetSpec(20, batch_size=1, evaluations=1), first_step=99) == {20}


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 60))
def test_evaluations_are_evenly_spaced_and_end_with_the_run(steps: int, evaluations: int) -> None:
    due = sorted(evaluation_steps(BudgetSpec(steps, batch_size=1, evaluations=evaluations)))
    assert len(due) == min(steps, evaluations)
    assert due[0] >= 1
    assert due[-1] == steps
    gaps = [after - before for before, after in zip([0, *due], due, strict=False)]
    assert max(gaps) - min(gaps) <= 1 or max(gaps) <= steps / len(due) + 1


def test_cross_entropy_is_in_nats_whatever_the_leading_shape() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0]]])  # probabilities 1/4, 3/4 and 1/2, 1/2
    expected = (math.log(4 / 3) + math.log(2)) / 2
    assert float(cross_entropy(logits, torch.tensor([[1, 0]]))) == pytest.approx(expected)
    assert float(cross_entropy(logits[0], torch.tensor([1, 0]))) == pytest.approx(expected)


def test_an_observer_sees_every_step_and_every_evaluation(spec: RunSpec, corpus: TokenData) -> None:
    witness = Witness()
    record = run(spec, corpus, observer=witness)
    assert [step for step, _, _ in witness.steps] == list(range(1, 21))
    assert {tokens for _, _, tokens in witness.steps} == {4 * 8}
    assert tuple(witness.evaluations) == record.history
    assert [evaluation.step for evaluation in record.history] == [5, 10, 15, 20]
    losses = [loss for _, loss, _ in witness.steps]
    windows = [sum(losses[first : first + 5]) / 5 for first in range(0, 20, 5)]
    assert [evaluation.train_loss for evaluation in record.history] == pytest.approx(windows)


def test_a_trained_network_improves(spec: RunSpec, corpus: TokenData) -> None:
    witness = Witness()
    longer = replace(spec, budget=replace(spec.budget, steps=60))
    record = run(longer, corpus, observer=witness)
    assert record.validation_loss is not None
    assert record.accuracy is not None
    assert witness.steps[0][1] > math.log(16) - 0.3
    assert record.validation_loss < 0.5 * math.log(16)
    assert record.accuracy > 0.8


def test_a_learning_rate_of_nothing_learns_nothing(spec: RunSpec, corpus: TokenData) -> None:
    still = replace(spec, hparams=BaseHyperparameters(1e-12, 0.1))
    losses = [evaluation.validation_loss for evaluation in run(still, corpus).history]
    assert losses == pytest.approx([losses[0]] * 4, abs=1e-5)


@pytest.mark.parametrize("kind", MaskKind)
def test_weights_off_the_mask_stay_exactly_zero(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, kind: MaskKind
) -> None:
    sparse = replace(spec, sparsity=SparsitySpec(0.25, kind))
    run(sparse, corpus, MASKED, checkpoint=tmp_path / "run.pt")
    network, _ = build(sparse)
    start, end = network.state_dict(), read_checkpoint(tmp_path / "run.pt")["network"]
    layers = [name.removesuffix("mask_bits") for name in end if name.endswith(".mask_bits")]
    assert len(layers) == 4
    for name in layers:
        weight = end[name + "weight"]
        mask = unpack_bits(end[name + "mask_bits"], weight.shape[1])
        assert torch.equal(end[name + "mask_bits"], start[name + "mask_bits"])
        assert not mask.all()
        assert torch.count_nonzero(weight[~mask]) == 0
        assert (weight[mask] != start[name + "weight"][mask]).float().mean() > 0.9


def test_without_masked_gradients_the_zeros_would_come_alive(
    spec: RunSpec, corpus: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MaskedBackend, "linear", DenseBackend.linear)
    run(spec, corpus, MASKED, checkpoint=tmp_path / "run.pt")
    end = read_checkpoint(tmp_path / "run.pt")["network"]
    weight = end["blocks.0.mlp.up.weight"]
    assert torch.count_nonzero(weight[~unpack_bits(end["blocks.0.mlp.up.mask_bits"], weight.shape[1])]) > 0


def test_the_rate_of_each_step_is_the_schedules(
    spec: RunSpec, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(spec)
    used: list[float] = []
    step = session.optimizer.step

    def noted() -> None:
        used.append(session.optimizer.param_groups[0]["lr"])
        step()

    monkeypatch.setattr(session.optimizer, "step", noted)
    train(session, Silent(), nothing)
    peak = session.optimizer.param_groups[0]["peak_learning_rate"]
    fall = [1 - 0.9 * index / 17 for index in range(18)]
    assert used == pytest.approx([peak * factor for factor in (1 / 3, 2 / 3, *fall)])


def test_clipping_bounds_the_gradient_norm_that_the_optimizer_sees(spec: RunSpec, open_session: OpenSession) -> None:
    norms = {}
    for clip in (0.0, 1e-3):
        session = open_session(replace(spec, optimizer=OptimizerSettings(gradient_clip=clip)))
        train_step(session)
        gradients = [parameter.grad for parameter in session.network.parameters() if parameter.grad is not None]
        norms[clip] = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert norms[0.0] > 0.1


def test_a_loss_that_is_not_finite_leaves_the_weights(spec: RunSpec, open_session: OpenSession) -> None:
    session = open_session(spec)
    with torch.no_grad():
        session.network.norm.weight.fill_(math.inf)  # type: ignore[union-attr, operator]
    before = {name: values.clone() for name, values in session.network.state_dict().items()}
    assert not math.isfinite(train_step(session))
    assert all(torch.equal(values, before[name]) for name, values in session.network.state_dict().items())


def test_validation_is_the_mean_over_all_batches(spec: RunSpec, open_session: OpenSession) -> None:
    session = open_session(spec)
    loss, accuracy = validate(session)
    inputs = torch.cat([batch[0] for batch in session.validation])
    targets = torch.cat([batch[1] for batch in session.validation])
    with torch.no_grad():
        logits = session.network(inputs)
    assert loss == pytest.approx(float(cross_entropy(logits, targets)), rel=1e-6)
    assert accuracy == pytest.approx(float((logits.argmax(-1) == targets).float().mean()))


@pytest.mark.parametrize("rate", [10.0, 1e8])
def test_divergence_ends_a_run_early(spec: RunSpec, open_session: OpenSession, rate: float) -> None:
    session, saved = open_session(replace(spec, hparams=BaseHyperparameters(rate, 0.1))), []
    assert train(session, Silent(), lambda: saved.append(session.progress.step))
    assert session.progress.step < 20
    assert saved == [], "a diverged state is not worth going on from"


def test_a_loss_that_is_not_finite_ends_a_run_at_that_step(spec: RunSpec, open_session: OpenSession) -> None:
    session, witness = open_session(replace(spec, hparams=BaseHyperparameters(1e8, 0.1))), Witness()
    assert train(session, witness, nothing)
    losses = [loss for _, loss, _ in witness.steps]
    assert [math.isfinite(loss) for loss in losses] == [True] * (len(losses) - 1) + [False]
    assert session.progress.step not in evaluation_steps(spec.budget)
    assert [evaluation.step for evaluation in witness.evaluations] == [session.progress.step]
    assert witness.evaluations[0].train_loss is None


@pytest.mark.parametrize(("first_loss", "reference"), [(1.0, math.log(16)), (9.0, 9.0)])
@pytest.mark.parametrize(("times", "lost"), [(0.99, False), (1.01, True), (math.inf, True), (math.nan, True)])
def test_a_validation_loss_far_above_start_and_guessing_is_divergence(
    spec: RunSpec,
    open_session: OpenSession,
    monkeypatch: pytest.MonkeyPatch,
    first_loss: float,
    reference: float,
    times: float,
    lost: bool,
) -> None:
    monkeypatch.setattr("smupar_transfer.training.loop.validate", lambda _: (times * EXPLODED * reference, 0.0))
    session = open_session(spec)
    session.progress.first_loss = first_loss
    assert train(session, Silent(), nothing) is lost
    assert session.progress.step == (5 if lost else 20)


def test_losing_a_little_is_not_divergence(spec: RunSpec, open_session: OpenSession) -> None:
    session = open_session(replace(spec, hparams=BaseHyperparameters(1e-12, 1.0, output_multiplier=8.0)))
    assert not train(session, Silent(), nothing)
    last = session.progress.history[-1].validation_loss
    assert last is not None
    assert last > math.log(16), "a useless network is worse than a uniform guess"


def test_state_is_saved_after_every_evaluation(spec: RunSpec, open_session: OpenSession) -> None:
    session, saved = open_session(spec), []
    train(session, Silent(), lambda: saved.append(session.progress.step))
    assert saved == [5, 10, 15, 20]


class Slow(Silent):
    """Lets 12 seconds pass at every step."""

    def __init__(self) -> None:
        self.now = 0.0

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.now += 12.0


def test_state_is_saved_when_the_last_time_is_half_a_minute_ago(
    spec: RunSpec, open_session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer, saved = Slow(), []
    session = open_session(replace(spec, budget=replace(spec.budget, evaluations=2)))
    clocks = {"perf_counter": time.perf_counter, "process_time": time.process_time}
    clock = SimpleNamespace(monotonic=lambda: observer.now, **clocks)
    monkeypatch.setattr("smupar_transfer.training.loop.time", clock)
    train(session, observer, lambda: saved.append(session.progress.step))
    assert saved == [3, 6, 9, 10, 13, 16, 19, 20]


def test_a_finished_run_trains_no_further(spec: RunSpec, open_session: OpenSession) -> None:
    session, witness = open_session(spec), Witness()
    train(session, Silent(), nothing)
    assert not train(session, witness, nothing)
    assert witness.steps == []


def test_an_observer_is_told_where_a_session_starts(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    first, second, third = Witness(), Witness(), Witness()
    half = replace(spec, budget=replace(spec.budget, steps=20, evaluations=2))

    class Half(Witness):
        def on_step(self, step: int, loss: float, tokens: int) -> None:
            if step == 15:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(half, corpus, observer=Half(), checkpoint=tmp_path / "run.pt")
    run(half, corpus, observer=first, checkpoint=tmp_path / "run.pt")
    run(half, corpus, observer=second, checkpoint=tmp_path / "run.pt")
    run(half, corpus, observer=third)
    assert (first.starts, first.steps[0][0]) == ([10], 11)
    assert (second.starts, second.steps) == ([20], [])
    assert (third.starts, third.steps[0][0]) == ([0], 1)


@pytest.mark.parametrize("asked_at", [1, 7, 10, 20])
def test_a_run_that_is_asked_to_end_is_saved_after_the_step_in_progress(
    spec: RunSpec, open_session: OpenSession, asked_at: int
) -> None:
    session, saved = open_session(replace(spec, budget=replace(spec.budget, evaluations=2))), []
    progress = session.progress
    diverged = train(session, Silent(), lambda: saved.append(progress.step), lambda: progress.step >= asked_at)
    assert not diverged
    assert progress.step == asked_at
    assert saved == [step for step in (10, 20) if step < asked_at] + [asked_at]
