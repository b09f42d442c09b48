"""The best points of a search, trained again with further seeds: one noisy training picks among them by chance.

The outcomes are attributes of the study, not trials: the sampler does not see them, so that a search that is extended
goes on as if nothing had been confirmed. Commands share this work as they share the search.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from smupar_transfer.launchers import PROCESSES
from smupar_transfer.records import Confirmation, RunsFailedError, Tuned, lacks_memory, memory_reason
from smupar_transfer.statistics.confirmed import Confirmed, tied_with, winner
from smupar_transfer.theory import InputError
from smupar_transfer.training import load, run
from smupar_transfer.tuning.claims import TrialClaim, TrialClaims
from smupar_transfer.tuning.search import Search, TrialOutcome, shared_study
from smupar_transfer.tuning.sharing import Crew, PlaceEnd, SharedPlaces
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

    Yields:
        Each training as it ends, of this command or another.

    Raises:
        RunsFailedError: some were given up, as their workers died each time; all others have outcomes.
    """
    with reachable(search.settings.storage):
        chosen, stored, seen = candidates(search, trials), _stored(search), set(known)
        wanted = {_place(search, trial, seed): (trial, seed) for trial in chosen for seed in seeds(search)}

        def missing() -> list[int]:
            done = {(repeat.trial, repeat.seed) for repeat in stored}
            return [place for place, (trial, seed) in wanted.items() if (trial.number, seed) not in done]

        def named(place: int) -> str:
            trial, seed = wanted[place]
            return f"trial {trial.number} with seed {seed}"

        places = SharedPlaces(shared_study(search).study, _claims(search), named, missing)
        crew = Crew(min(workers, max(1, len(missing()))), launcher)
        with contextlib.closing(places.run(partial(_do_repeat, search, wanted), crew)) as ended:
            for own in ended:
                stored = patiently(partial(_stored, search))
                news = [repeat for repeat in stored if repeat not in seen]
                seen |= set(news)
                yield from news
                if not own and (left := missing()):
                    waiting(len(left))
    if places.failures:
        raise RunsFailedError(list(places.failures.values()), len(wanted), "trainings")


def _do_repeat(search: Search, wanted: Mapping[int, tuple[TrialOutcome, int]], claim: TrialClaim) -> PlaceEnd:
    """Train a point again, in whatever process; again, after a pause, where the database fails."""
    with reachable(search.settings.storage):
        return patiently(partial(_try_repeat, search, *wanted[claim.ordinal], claim))


def _try_repeat(search: Search, trial: TrialOutcome, seed: int, claim: TrialClaim) -> PlaceEnd:
    # another command may have ended this one between the look at what is missing and the claim
    if not any((repeat.trial, repeat.seed) == (trial.number, seed) for repeat in _stored(search)):
        try:
            _train(search, trial, seed)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return PlaceEnd(claim, done=False, failure=memory_reason(error))
    return PlaceEnd(claim, done=True)


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
