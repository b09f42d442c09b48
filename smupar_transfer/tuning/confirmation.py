"""The best points of a search, trained again with further seeds: one noisy training picks among them by chance.

The outcomes are attributes of the study, not trials: the sampler does not see them, so that a search that is extended
goes on as if nothing had been confirmed. Commands share this work as they share the search.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from smupar_transfer.launchers import PROCESSES, KeptWorkers, run_jobs
from smupar_transfer.records import Confirmation, Tuned
from smupar_transfer.records.liveness import this_process
from smupar_transfer.statistics.confirmed import Confirmed, tied_with, winner
from smupar_transfer.theory import InputError
from smupar_transfer.training import load, run
from smupar_transfer.tuning.claims import TrialClaims
from smupar_transfer.tuning.search import POLL_SECONDS, Search, TrialOutcome, shared_study
from smupar_transfer.tuning.storage import patiently, reachable
from smupar_transfer.tuning.study import MOST_SEEDS

ATTRIBUTE = "confirmed"
"""First word of the attributes of a study that have a training each: ``confirmed TRIAL SEED``."""


@dataclass(frozen=True)
class Repeat:
    """A point trained once more.

    Attributes:
        trial: The number of the trial whose point it is.
        seed: The seed.
        loss: The validation loss in nats; None if it diverged.
        seconds: How long it took.
    """

    trial: int
    seed: int
    loss: float | None
    seconds: float


def seeds(search: Search) -> tuple[int, ...]:
    """The seeds that points are trained with again: those after the search's own."""
    # not its own: the loss under that seed is why a point is among the best, and so lower than the point is worth
    return tuple(range(search.proxy.seed + 1, search.proxy.seed + 1 + search.settings.confirm_seeds))


def candidates(search: Search, trials: Sequence[TrialOutcome]) -> list[TrialOutcome]:
    """The best completed trials, best first; of equal ones the earlier."""
    complete = [(trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    ranked = [trial for *_, trial in sorted(complete, key=lambda ranked: ranked[:2])]
    return ranked[: search.settings.confirm]


def repeats(search: Search) -> list[Repeat]:
    """What the study knows of points that were trained again, in the order of trials and seeds."""
    with reachable(search.settings.storage):
        return _stored(search)


def run_repeats(
    search: Search,
    trials: Sequence[TrialOutcome],
    workers: int,
    waiting: Callable[[int], None] = lambda _: None,
    known: Sequence[Repeat] = (),
    launcher: str = PROCESSES,
    kept: KeptWorkers | None = None,
) -> Generator[Repeat, None, None]:
    """Train the candidates again that were not yet, with every seed. Interrupt and start again at will.

    Commands that search the same study share this work: each training is claimed, as the search's own are.

    Args:
        search: What was searched.
        trials: The finished trials among which the candidates are.
        workers: The number of processes of this command, at least 1.
        waiting: Told, now and then, how many trainings other commands are at work on when none is left for this one.
        known: Those that are not told again.
        launcher: The name of the launcher that starts the processes.
        kept: Has processes from before.

    Yields:
        Each training as it ends, of this command or another.
    """
    with reachable(search.settings.storage):
        chosen, stored, seen = candidates(search, trials), _stored(search), set(known)

        def missing() -> list[tuple[TrialOutcome, int]]:
            done = {(repeat.trial, repeat.seed) for repeat in stored}
            return [(trial, seed) for trial in chosen for seed in seeds(search) if (trial.number, seed) not in done]

        def jobs() -> Iterator[RepeatJob]:
            while left := missing():  # asked again each time: other commands finish some meanwhile
                yield RepeatJob(search, this_process(), left)

        count = min(workers, max(1, len(missing())))
        with contextlib.closing(run_jobs(_run_repeat, jobs(), count, launcher, kept=kept)) as ended:
            for ran in ended:
                stored = patiently(partial(_stored, search))
                news = [repeat for repeat in stored if repeat not in seen]
                seen |= set(news)
                yield from news
                if not ran and (left := missing()):
                    waiting(len(left))


@dataclass(frozen=True)
class RepeatJob:
    """One more training in a worker process.

    Attributes:
        search: What was searched.
        command: The process of the command.
        missing: Trials and seeds that have no outcome yet, as far as the command knows.
    """

    search: Search
    command: str
    missing: list[tuple[TrialOutcome, int]]


def _run_repeat(job: RepeatJob) -> bool:
    """Train the first that nobody else is at; wait a moment where others are at them all.

    Returns:
        Whether there was one.
    """
    with reachable(job.search.settings.storage):
        ran = patiently(partial(_try_repeat, job))
    if not ran:
        time.sleep(POLL_SECONDS)
    return ran


def _try_repeat(job: RepeatJob) -> bool:
    search, claims = job.search, _claims(job.search)
    places = {_place(search, trial, seed): (trial, seed) for trial, seed in job.missing}
    claim = claims.take(places, job.command)
    if claim is None:
        return False
    trial, seed = places[claim.ordinal]
    with claims.held(claim):
        # another command may have ended this one between the look at what is missing and the claim
        if not any((repeat.trial, repeat.seed) == (trial.number, seed) for repeat in _stored(search)):
            _train(search, trial, seed)
    return True


def _train(search: Search, trial: TrialOutcome, seed: int) -> None:
    spec = replace(search.proxy, hparams=replace(search.proxy.hparams, **trial.hparams), seed=seed)
    tracking = replace(search.tracking, run=f"trial-{trial.number}-seed-{seed}")
    record = run(spec, load(search.data), search.execution, tracking=tracking)
    outcome = {"loss": record.validation_loss, "seconds": record.wall_seconds}
    study = shared_study(search).study
    # an attribute of the study, not a trial: the sampler would learn from those, and go on otherwise
    patiently(partial(study.set_user_attr, f"{ATTRIBUTE} {trial.number} {seed}", outcome))


def _claims(search: Search) -> TrialClaims:
    """Claims beside those of the search: no study has a blank in its name."""
    return TrialClaims(shared_study(search).claims.engine, f"{search.settings.name} {ATTRIBUTE}")


def _place(search: Search, trial: TrialOutcome, seed: int) -> int:
    # one whole number for both, as the table of claims has a single column for a place
    return trial.number * MOST_SEEDS + seed - search.proxy.seed - 1


def _stored(search: Search) -> list[Repeat]:
    attributes = shared_study(search).study.user_attrs
    named = [(name.split(" "), value) for name, value in attributes.items() if name.startswith(f"{ATTRIBUTE} ")]
    return sorted(
        (Repeat(int(words[1]), int(words[2]), value["loss"], value["seconds"]) for words, value in named),
        key=lambda repeat: (repeat.trial, repeat.seed),
    )


def confirmed(search: Search, trials: Sequence[TrialOutcome], known: Sequence[Repeat]) -> list[Confirmed]:
    """The candidates that were trained again with every seed, in the order in which the search ranks them."""
    losses = {(repeat.trial, repeat.seed): repeat.loss for repeat in known}
    return [
        Confirmed(trial.number, tuple(losses[trial.number, seed] for seed in seeds(search)))
        for trial in candidates(search, trials)
        if all((trial.number, seed) in losses for seed in seeds(search))
    ]


def best(search: Search, trials: Sequence[TrialOutcome], known: Sequence[Repeat] = ()) -> Tuned:
    """The best completed trial with everything needed to use it.

    Args:
        search: What was searched.
        trials: The trials of its study that have an outcome.
        known: What is known of points that were trained again; the winner is the best of these, if there are any.

    Raises:
        InputError: no trial completed.
    """
    ranked = candidates(replace(search, settings=replace(search.settings, confirm=len(trials))), trials)
    if not ranked:
        raise InputError(
            "study.name",
            search.settings.name,
            "has no completed trial",
            "every point was pruned or diverged: narrow tuning.space or raise tuning.n_trials",
        )
    again = confirmed(search, trials, known)
    first = winner(again) if again else None
    trial = ranked[0] if first is None else next(trial for trial in ranked if trial.number == first.trial)
    assert trial.value is not None
    return Tuned(
        hparams=replace(search.proxy.hparams, **trial.hparams),
        value=trial.value,
        study=search.settings.name,
        trial=trial.number,
        trials=len(trials),
        proxy=search.proxy,
        searched=search.on,
        confirmation=None if first is None else _confirmation(search, first, again),
    )


def _confirmation(search: Search, first: Confirmed, again: Sequence[Confirmed]) -> Confirmation:
    mean = None if math.isinf(first.mean) else first.mean  # YAML for people holds no infinity
    return Confirmation(len(again), seeds(search), mean, first.standard_error, tied_with(first, again))
