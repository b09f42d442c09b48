"""From a run to its tracker: what is logged, when, and how the run ended."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from smupar_transfer.records import Evaluation, to_plain
from smupar_transfer.training.callbacks import Observer
from smupar_transfer.training.distributed.ranks import FSDP
from smupar_transfer.training.interruption import termination_raised
from smupar_transfer.training.loop import Session
from smupar_transfer.training.optimizer import schedule
from smupar_transfer.training.trackers.base import RunState, TrackedRun
from smupar_transfer.training.trackers.guard import Guarded
from smupar_transfer.training.trackers.registry import NONE, require_tracker
from smupar_transfer.training.trackers.update_ratios import UpdateRatios
from smupar_transfer.transfer import ParameterPlan

LOGGED = 100
"""Steps of a run that are logged, or up to twice as many; all of a shorter one."""


@dataclass(frozen=True)
class Tracking:
    """Who keeps the curves of runs; never what comes out of them.

    Attributes:
        tracker: The name of a tracker; "none" for none.
        folder: The folder of the result that the runs belong to.
        run: The name of a run; its key if it is empty.
    """

    tracker: str = NONE
    folder: Path = Path()
    run: str = ""

    def __post_init__(self) -> None:
        require_tracker(self.tracker)


@dataclass
class Followed:
    """A run that may be tracked.

    Attributes:
        observer: The observer to train with.
        diverged: Whether the run diverged, set by whoever trains it.
    """

    observer: Observer
    diverged: bool = False


def is_logged(step: int, steps: int) -> bool:
    """Whether step ``step`` (from 1) of ``steps`` is logged; the first and the last are."""
    return step in (1, steps) or step % max(1, steps // LOGGED) == 0


class Follower:
    """Tells a tracker what it tells another observer."""

    def __init__(self, tracker: Guarded, session: Session, ratios: UpdateRatios, observer: Observer) -> None:
        self._tracker, self._session, self._ratios, self._observer = tracker, session, ratios, observer
        self._losses: list[float] = []
        self.stopped = False

    def on_start(self, step: int) -> None:
        """See ``Observer``."""
        with self._noting_an_end():
            self._observer.on_start(step)
        self._keep_before(step + 1)

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        """See ``Observer``; weights are copied here, and not in the step, whose time is part of a record."""
        self._losses.append(loss)
        if is_logged(step, self._session.spec.budget.steps):
            ratios = self._ratios.since_kept() if math.isfinite(loss) else {}  # else there was no step
            self._log({**self._progress(step), **ratios}, step)
            self._losses.clear()
        with self._noting_an_end():
            self._observer.on_step(step, loss, tokens)
        self._keep_before(step + 1)

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """See ``Observer``."""
        per_token = self._session.spec.data.bytes_per_token
        # which _log leaves out
        loss = math.nan if evaluation.validation_loss is None else evaluation.validation_loss
        values = {"eval/loss": loss}
        if evaluation.accuracy is not None:
            values["eval/accuracy"] = evaluation.accuracy
        if per_token is not None:
            values["eval/bits_per_byte"] = loss / math.log(2) / per_token
        self._log(values, evaluation.step)
        with self._noting_an_end():
            self._observer.on_evaluation(evaluation)

    def _progress(self, step: int) -> dict[str, float]:
        spec = self._session.spec
        seen = step * spec.budget.tokens_per_step
        return {
            "train/loss": sum(self._losses) / len(self._losses),
            "train/tokens": seen,
            "train/epoch": seen / spec.data.train_size,
            # the schedule counts steps from 0
            "learning_rate": spec.hparams.learning_rate * schedule(step - 1, spec.budget),
        }

    def _keep_before(self, step: int) -> None:
        steps = self._session.spec.budget.steps
        if step <= steps and is_logged(step, steps) and self._tracker.listens:
            self._ratios.keep()

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._tracker.log({name: value for name, value in values.items() if math.isfinite(value)}, step)

    @contextmanager
    def _noting_an_end(self) -> Iterator[None]:
        """An error of the other observer is how it ends a run."""
        try:
            yield
        except Exception:
            self.stopped = True
            raise


@contextmanager
def follow(
    tracking: Tracking, session: Session, plan: tuple[ParameterPlan, ...], observer: Observer
) -> Iterator[Followed]:
    """Track a run while the block trains it; without a tracker, nothing stands between the run and its observer.

    Args:
        tracking: who keeps its curves.
        session: the run, as far as its checkpoint brought it.
        plan: of its parameters.
        observer: who watches it besides.

    Yields:
        The observer to train with; whether the run diverged is to be noted there.
    """
    followed = Followed(observer)
    if tracking.tracker == NONE:
        yield followed
        return
    spec = session.spec
    run = TrackedRun.of(tracking.run or spec.key, spec.key, tracking.folder, session.progress.step)
    tracker = Guarded(tracking.tracker, run)
    # no process has the whole of a sharded weight, and those without a tracker would not help to compare it
    compared = nn.Module() if session.ranks.sharing == FSDP else session.network
    ratios = UpdateRatios(compared, {row.name: str(row.role) for row in plan})
    follower = Follower(tracker, session, ratios, observer)
    followed.observer = follower
    # workers are ended by SIGTERM, and a tracker has to hear of that
    with termination_raised():
        # unless something else turns out: Ctrl-C and SIGTERM come as no Exception
        state = RunState.INTERRUPTED
        try:
            tracker.start(_config(session))
            yield followed
            state = RunState.DIVERGED if followed.diverged else RunState.FINISHED
        except Exception:
            state = RunState.STOPPED if follower.stopped else RunState.FAILED
            raise
        finally:
            tracker.finish(state)


def _config(session: Session) -> dict[str, object]:
    """What a run is, without the place of its data, which concerns this machine alone."""
    spec = session.spec
    plain = to_plain(replace(spec, data=replace(spec.data, path=None)))
    return {"key": spec.key, "device": str(session.device), **plain}
