"""One training run, step by step."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.model import Network
from smupar_transfer.records import BudgetSpec, Evaluation, Precision, RunSpec, chance_loss
from smupar_transfer.sparsity import named_generator
from smupar_transfer.training.callbacks import Observer
from smupar_transfer.training.checkpoint import Progress
from smupar_transfer.training.clipping import GradientNorm
from smupar_transfer.training.data.load import Data
from smupar_transfer.training.data.own_batches import OwnBatches
from smupar_transfer.training.distributed.ranks import ALONE, Ranks
from smupar_transfer.training.distributed.sharing import gradients_stay
from smupar_transfer.training.interruption import never
from smupar_transfer.training.optimizer import schedule, set_learning_rates

# between two evaluations: about so much is lost of a run that is killed
CHECKPOINT_SECONDS = 30.0
# twice, and not once: a run that ends a little above guessing is a bad run with a loss, and not lost
EXPLODED = 2.0


@dataclass(frozen=True)
class EarlyValidation:
    """How a run is validated before its end by somebody who needs to know whether to end it, and no record of it.

    The validation at the end is the same as without it.

    Attributes:
        batches: The largest number of batches of a validation before the last, at least 1.
        first_step: The first step after which there may be one.
    """

    batches: int
    first_step: int = 0


@dataclass
class Session:
    """A run in progress: what the loop changes and what it reads."""

    spec: RunSpec
    network: Network
    optimizer: torch.optim.Optimizer
    data: Data
    batches: torch.Generator
    validation: list[Any]
    progress: Progress
    device: torch.device
    norm: GradientNorm
    stream: Iterator[Any] | None = None
    early: EarlyValidation | None = None

    def validation_batches(self) -> list[Any]:
        """The batches of a validation now: all of them at the end, before it perhaps a few that lie evenly spaced."""
        count = len(self.validation)
        if self.early is None or self.progress.step >= self.spec.budget.steps or self.early.batches >= count:
            return self.validation
        return [self.validation[index * count // self.early.batches] for index in range(self.early.batches)]

    asked_to_end: Callable[[], bool] = never
    accumulate: int = 1
    ranks: Ranks = ALONE
    shared: nn.Module | None = None
    """What computes losses whose gradients several processes shall share; the network itself where there is none."""

    def next_batch(self) -> Any:
        """The batch of the next step; the first call comes after a checkpoint was loaded."""
        if self.stream is None:
            self.stream = self._batches()
        return next(self.stream)

    def own_parts(self, batch: Any) -> list[tuple[Any, float]]:
        """What this process computes of a batch, part after part, each with its weight in the mean over the batch."""
        count = self.accumulate * self.ranks.size
        if count == 1:
            return [(batch, 1.0)]
        inputs, targets = batch
        size = len(inputs)
        first = self.ranks.rank * self.accumulate
        # parts differ by one at most where they do not divide the batch
        edges = [size * number // count for number in range(first, first + self.accumulate + 1)]
        return [((inputs[a:b], targets[a:b]), (b - a) / size) for a, b in itertools.pairwise(edges)]

    def _batches(self) -> Iterator[Any]:
        if isinstance(self.data, OwnBatches):
            yield from self.data.stream(self.spec.seed, self.progress.step)
        budget = self.spec.budget
        while not isinstance(self.data, OwnBatches):
            yield self.data.train_batch(self.batches, budget.batch_size, budget.sequence_length)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean loss in nats of logits (..., classes) for integer targets (...)."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def train(
    session: Session, observer: Observer, save: Callable[[], None], asked_to_end: Callable[[], bool] = never
) -> bool:
    """Train to the end of the budget, to divergence, or until somebody asks for an end.

    Args:
        session: changed in place.
        observer: told of the start, every step and every evaluation.
        save: called at a consistent state after evaluations, now and then between, and before an early end.
        asked_to_end: looked at after every step, and between the batches of an evaluation, which is then left for the
            session that goes on.

    Returns:
        Whether the run diverged: its loss was not finite, or at an evaluation ``EXPLODED`` times larger than both where
        training began and guessing uniformly.
    """
    session.asked_to_end = asked_to_end
    progress, budget = session.progress, session.spec.budget
    due = evaluation_steps(budget, 0 if session.early is None else session.early.first_step)
    last_save = time.monotonic()
    observer.on_start(progress.step)
    # the last evaluation may be owed by a session that was ended in the middle of it
    while progress.step < budget.steps or _owes_evaluation(progress, due):
        diverged = False
        if not _owes_evaluation(progress, due):  # else an earlier session ended before it
            before = progress.wall_seconds
            with _timed(progress):
                loss = train_step(session)
            _note_step(progress, loss, progress.wall_seconds - before)
            observer.on_step(progress.step, loss, budget.tokens_per_step)
            diverged = not math.isfinite(loss)
        ending = asked_to_end()
        if not ending and (diverged or progress.step in due):
            evaluation = _evaluate(session)
            # once more: a signal may have come during the evaluation
            ending = asked_to_end()
            if evaluation is not None:
                observer.on_evaluation(evaluation)
                if diverged or _is_lost(evaluation, session):
                    return True
        if diverged:  # and somebody asks for an end: the state before this step is the one to go on from
            break
        # clocks of processes differ, and writing a checkpoint is something that they do together
        overdue = session.ranks.highest(int(time.monotonic() - last_save > CHECKPOINT_SECONDS))
        if ending or progress.step in due or overdue:
            save()
            last_save = time.monotonic()
        if ending:
            break
    return False


def _owes_evaluation(progress: Progress, due: set[int]) -> bool:
    """Whether an evaluation is due after the step that was taken last, and was not made."""
    return progress.step in due and (not progress.history or progress.history[-1].step < progress.step)


def train_step(session: Session) -> float:
    """One optimizer step; returns the training loss before it, in nats. If that is not finite, weights stay."""
    loss = compute_gradients(session)
    if math.isfinite(loss):
        update_weights(session)
    return loss


def compute_gradients(session: Session) -> float:
    """Loss (nats) and gradients, not yet clipped, on the next training batch; no gradients if it is not finite."""
    batch = session.next_batch()
    session.optimizer.zero_grad(set_to_none=True)
    ranks, parts, value = session.ranks, session.own_parts(batch), 0.0
    for number, (part, weight) in enumerate(parts, start=1):
        more = number < len(parts) and session.shared is not None
        with gradients_stay(session.shared) if more else nullcontext():  # type: ignore[arg-type]
            with _repeatable(session):
                loss = _loss(session, part)
            value += weight * float(loss.detach())
            # alone, a loss that is not finite ends the step here; together, all have to take part in what follows
            if ranks.is_alone and not math.isfinite(value):
                break
            scale = weight * ranks.size  # gradients are averaged over processes
            (loss if scale == 1 else loss * scale).backward()  # type: ignore[no-untyped-call]
    # the loss of all, so that they agree on whether it is finite
    (value,) = ranks.sums([value])
    if not math.isfinite(value):
        session.optimizer.zero_grad(set_to_none=True)
    return value


def _loss(session: Session, batch: Any) -> Tensor:
    if isinstance(session.data, OwnBatches):
        with _precision(session):
            return session.data.loss(session.network, batch, session.device)
    inputs, targets = batch
    return cross_entropy(_logits(session, inputs), targets.to(session.device))


def _logits(session: Session, inputs: Tensor) -> Tensor:
    # a validation has no gradients to share
    together = torch.is_grad_enabled() and session.shared is not None
    with _precision(session):
        logits: Tensor = (session.shared if together else session.network)(inputs.to(session.device))  # type: ignore[misc]
    # the loss is computed in float32 under either precision
    return logits.float()


def _precision(session: Session) -> torch.autocast:
    shorter = session.spec.precision is Precision.BFLOAT16
    return torch.autocast(session.device.type, torch.bfloat16, enabled=shorter)


@contextmanager
def _repeatable(session: Session) -> Iterator[None]:
    """Have what a person's own model draws in a step, as dropout does, depend on seed and step alone."""
    if not isinstance(session.data, OwnBatches):
        yield
        return
    # named, since fork_rng would otherwise save the state of every accelerator there is
    devices = [session.device] if session.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(named_generator(session.spec.seed, "step", str(session.progress.step)).initial_seed())
        yield


def update_weights(session: Session) -> None:
    """Clip the gradients and let the optimizer step, at the learning rate of ``session.progress``."""
    set_learning_rates(session.optimizer, schedule(session.progress.step, session.spec.budget))
    if session.spec.optimizer.gradient_clip:
        session.norm.clip_(session.spec.optimizer.gradient_clip)
    session.optimizer.step()


class _EndedError(Exception):
    """Somebody asked for an end in the middle of an evaluation."""


def _until_asked(session: Session, batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        if session.asked_to_end():
            raise _EndedError
        yield batch


@torch.no_grad()
def validate(session: Session) -> tuple[float, float | None]:
    """Mean validation loss in nats and accuracy over fixed batches; no accuracy for a person's own loss."""
    if isinstance(session.data, OwnBatches):
        return _own_validation(session), None
    losses, hits = [], []
    batches = session.validation_batches()
    for batch in _until_asked(session, batches):
        for (inputs, targets), weight in session.own_parts(batch):
            logits = _logits(session, inputs)
            targets = targets.to(session.device)
            losses.append(weight * float(cross_entropy(logits, targets)))
            hits.append(weight * float((logits.argmax(-1) == targets).float().mean()))
    # each process has computed its parts of every batch
    loss, accuracy = session.ranks.sums([sum(losses), sum(hits)])
    return loss / len(batches), accuracy / len(batches)


def _own_validation(session: Session) -> float:
    """The mean of the task's own loss, with the model as it is used: dropout off, statistics of batches fixed."""
    session.network.eval()
    try:
        with _repeatable(session):
            losses = [float(_loss(session, batch)) for batch in _until_asked(session, session.validation_batches())]
    finally:
        session.network.train()
    return sum(losses) / len(losses)


def evaluation_steps(budget: BudgetSpec, first_step: int = 0) -> set[int]:
    """Steps (from 1) after which a run is validated: none before ``first_step``, and always the last."""
    # no step is validated twice
    count = min(budget.evaluations, budget.steps)
    steps = {round(budget.steps * (index + 1) / count) for index in range(count)}
    return {step for step in steps if step >= first_step or step == budget.steps}


@contextmanager
def _timed(progress: Progress) -> Iterator[None]:
    """Count what the block takes, by the clock and of the processor."""
    started, started_cpu = time.perf_counter(), time.process_time()
    yield
    if progress.cpu_seconds is not None:
        progress.cpu_seconds += time.process_time() - started_cpu
    progress.wall_seconds += time.perf_counter() - started


def _note_step(progress: Progress, loss: float, seconds: float) -> None:
    progress.step += 1
    progress.step_seconds.append(seconds)
    progress.window.append(loss)
    if progress.first_loss is None:
        progress.first_loss = loss


def _evaluate(session: Session) -> Evaluation | None:
    """Validate and note what came out; None, and nothing is noted, if somebody asks for an end meanwhile."""
    progress = session.progress
    train_loss = sum(progress.window) / len(progress.window)
    try:
        with _timed(progress):
            validation_loss, accuracy = validate(session)
    except _EndedError:
        return None
    evaluation = Evaluation(progress.step, _finite(train_loss), _finite(validation_loss), accuracy)
    progress.window.clear()
    progress.history.append(evaluation)
    return evaluation


def _is_lost(evaluation: Evaluation, session: Session) -> bool:
    if evaluation.validation_loss is None:
        return True
    start = session.progress.first_loss
    # the size, as a person's own loss may be negative
    known = [abs(loss) for loss in (chance_loss(session.spec.model), start) if loss is not None and math.isfinite(loss)]
    # the larger of both, as a network may begin far above guessing, or rise to it from far below
    return evaluation.validation_loss > EXPLODED * max(known, default=math.inf)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
