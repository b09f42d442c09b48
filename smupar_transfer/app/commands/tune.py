"""``smupar tune``: search base hyperparameters on the dense proxy, or on the target itself to compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from rich.console import Group

from smupar_transfer.app import config_to_spec, console
from smupar_transfer.app.base import unread_scale
from smupar_transfer.app.console import progress_bar
from smupar_transfer.app.masking import masked, secrets_of
from smupar_transfer.app.overrides import PROXY_WORDS, RUN_WORDS, next_command, path_word, set_by_hand, words_given
from smupar_transfer.app.submission import submitted
from smupar_transfer.records import RunFailure, RunsFailedError, SearchedOn, Tuned, write_tuned
from smupar_transfer.reporting.number_format import joined, loss, significant
from smupar_transfer.reporting.provenance import counted
from smupar_transfer.sweeps.overwriting import refuse_other_page
from smupar_transfer.theory import InputError, choose
from smupar_transfer.training.kernel_fallback import resolved
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON
from smupar_transfer.tuning import (
    Range,
    Repeat,
    Search,
    SearchSpace,
    StudySettings,
    TrialOutcome,
    best,
    candidates,
    close_study,
    confirmed,
    file_storage,
    others_at_work,
    outcomes,
    repeats,
    run_repeats,
    run_search,
)

if TYPE_CHECKING:
    from smupar_transfer.reporting.study import Study

TRIALS_IN_TERMINAL = 5


def run(config: DictConfig) -> None:
    """Search, print the best trials, write ``tuned.yaml`` and a page about the search.

    Raises:
        InputError: a value is impossible, or a person set a target where the proxy is searched, or none where it is the
            target.
        RunsFailedError: some trainings were given up; all others are done, and told of.
    """
    _check_target(config)
    search, folder = make_search(config), Path(config.results_dir) / config.study.name
    refuse_other_page(folder, "tune", "study.name")
    if submitted(config, ["tune"], config.study.name, words_given()):
        return
    found = tune(config, search)
    go_on = suggested(config, folder)
    publish(folder, search, found, go_on)
    console.terminal().print(trial_table(search, found))
    console.line(f"\nwrote {folder / 'tuned.yaml'}: {told(best(search, found.trials, found.repeats))}")
    console.terminal().print(f"wrote {folder / 'report.html'}", soft_wrap=True)
    console.terminal().print(f"next: {go_on}", soft_wrap=True)
    found.raise_failures()


def suggested(config: DictConfig, folder: Path) -> str:
    """How to transfer to the target that was searched; else to four times the width, as sparse as has been tested."""
    width, sparsity = config.target.width or config.model.width, config.target.sparsity
    if config.tuning.on == SearchedOn.PROXY:
        width = 4 * config.model.width
        sparsity = max(0.0, 1 - MINIMUM_WEIGHTS_PER_NEURON / width)
    words = [path_word("tuned", folder / "tuned.yaml"), f"target.width={width}", f"target.sparsity={sparsity:g}"]
    return next_command("transfer", words, PROXY_WORDS | RUN_WORDS)


def make_search(config: DictConfig) -> Search:
    """The search that a configuration describes."""
    tuning = config.tuning
    space = _space(config)
    on = choose(SearchedOn, "tuning.on", tuning.on)
    search = Search(
        settings=StudySettings(
            name=config.study.name,
            storage=config.study.storage or file_storage(Path(config.results_dir) / config.study.name / "study.db"),
            n_trials=tuning.n_trials,
            startup_trials=tuning.startup_trials,
            pruner_startup_trials=tuning.pruner_startup_trials,
            evaluation_batches=tuning.evaluation_batches,
            seed=config.seed,
            confirm=tuning.confirm,
            confirm_seeds=tuning.confirm_seeds,
        ),
        proxy=(config_to_spec.proxy_spec if on is SearchedOn.PROXY else config_to_spec.target_spec)(config),
        space=SearchSpace(space),
        data=config_to_spec.data_request(config),
        execution=config_to_spec.execution(config),
        tracking=config_to_spec.tracking(config, Path(config.results_dir) / config.study.name),
        on=on,
    )
    for key in set_by_hand(config, "hparams"):
        _refuse_outside(key, search)
    return search


def _check_target(config: DictConfig) -> None:
    given = set_by_hand(config, "target")
    if config.tuning.on == SearchedOn.TARGET and not given:
        problem = "needs to know the target"
        raise InputError("tuning.on", config.tuning.on, problem, "give target.width, target.sparsity or both")
    if config.tuning.on == SearchedOn.PROXY:
        for key in given:
            problem = "has no say in a search, which is for the dense proxy"
            remedy = "give it to smupar transfer; to search on the target itself, say tuning.on=target"
            raise InputError(key, OmegaConf.select(config, key), problem, remedy)


def _space(config: DictConfig) -> dict[str, Range]:
    """The ranges, but for the one of the two scales of initial values that the network does not read.

    Raises:
        InputError: a person typed a range that is not read.
    """
    unread = unread_scale(config)
    for key in set_by_hand(config, "tuning"):
        if key.startswith(f"tuning.space.{unread}."):
            problem = f"is not searched with model={config.model.kind}"
            raise InputError(key, OmegaConf.select(config, key), problem, "leave it out")
    return {
        str(name): Range(axis.low, axis.high, axis.log)
        for name, axis in config.tuning.space.items()
        if name != unread and not OmegaConf.is_missing(axis, "low")
    }


def _refuse_outside(key: str, search: Search) -> None:
    """Refuse a typed base hyperparameter where trial 0 cannot have it: it would be moved without a word."""
    name = key.partition(".")[2]
    axis, value = search.space.ranges.get(name), getattr(search.proxy.hparams, name)
    if axis is not None and not axis.low <= value <= axis.high:
        problem = f"is outside of tuning.space.{name} ({axis.low:g} to {axis.high:g}), from which trial 0 is taken, too"
        raise InputError(key, value, problem, "widen the range, or leave it out")


@dataclass(frozen=True)
class Found:
    """What a study has found.

    Attributes:
        trials: The finished trials.
        repeats: The best of them, trained again.
        failures: What was given up, as its workers died each time.
        planned: The number of trainings in all.
    """

    trials: list[TrialOutcome]
    repeats: list[Repeat]
    failures: Sequence[RunFailure] = ()
    planned: int = 0

    def raise_failures(self) -> None:
        """End the command as one that is not complete, if something was given up.

        Raises:
            RunsFailedError: something was.
        """
        if self.failures:
            raise RunsFailedError(self.failures, self.planned, "trainings")


def tune(config: DictConfig, search: Search) -> Found:
    """Have what is missing run, by this command and others that search the same study, and write ``tuned.yaml``.

    Returns:
        What the study has found, of which ``tuned.yaml`` has the best.
    """
    workers = config_to_spec.workers(config)
    path = Path(config.results_dir) / search.settings.name / "tuned.yaml"
    try:
        done = outcomes(search)
        if not done and path.exists():  # as in a clone, whose published study came without its database
            problem = f"is new, but {path} is there, of another study: it would be lost"
            raise InputError("study.name", search.settings.name, problem, "choose another study.name or results_dir")
        return _found(search, done, Workers(workers, config.launcher), path)
    finally:
        close_study(search)


@dataclass(frozen=True)
class Workers:
    """How many processes train, and who starts them."""

    count: int
    launcher: str


def _found(search: Search, done: list[TrialOutcome], workers: Workers, path: Path) -> Found:
    lowest = min((_value(trial) for trial in done), default=float("inf"))
    # a study may have more trials than are asked for now
    total = max(search.settings.n_trials, len(done))
    again = min(search.settings.confirm, total) * search.settings.confirm_seeds
    known = [repeat for repeat in repeats(search) if repeat.trial in {it.number for it in candidates(search, done)}]
    # only where something is left to train: this may build kernels (decision 6)
    if len(done) < total or len(known) < again:
        search = replace(search, execution=resolved(search.execution))
    failures: list[RunFailure] = []
    with progress_bar(f"tuning {search.settings.name}", total + again, len(done) + len(known)) as bar:

        def wait(count: int) -> None:
            bar.say(f"best {loss(lowest)}, waiting for {count} of another command")

        trials = run_search(search, workers.count, wait, done, workers.launcher)
        with _collected(failures), closing(trials) as ended:
            for trial in ended:
                lowest = min(lowest, _value(trial))
                bar.advance(f"best {loss(lowest)}")

        def confirm(trials: list[TrialOutcome]) -> None:
            chosen = candidates(search, trials)
            bar.expect(len(trials) + len(chosen) * search.settings.confirm_seeds)
            trainings = run_repeats(search, trials, workers.count, wait, known, workers.launcher)
            with _collected(failures), closing(trainings) as ended:
                for repeat in ended:
                    known.append(repeat)
                    bar.advance(f"trial {repeat.trial} with seed {repeat.seed}: {loss(repeat.loss)}")

        if failures and math.isinf(lowest):
            raise RunsFailedError(failures, total, "trials")  # no point to confirm or to write
        found = settled(search, path, confirm)
    again = len(candidates(search, found.trials)) * search.settings.confirm_seeds
    return replace(found, failures=failures, planned=total + again)


@contextmanager
def _collected(failures: list[RunFailure]) -> Iterator[None]:
    """Take up what was given up, and go on with the rest."""
    try:
        yield
    except RunsFailedError as error:
        failures += error.failures


def settled(search: Search, path: Path, confirm: Callable[[list[TrialOutcome]], None]) -> Found:
    """Confirm and write the best point, again if trials ended meanwhile: the last of several commands has seen all.

    Where another command searches on for more trials, that one is the last.

    Args:
        search: What was searched.
        path: Where the best point is written.
        confirm: Trains the best of some trials again, where that is missing.

    Returns:
        What the study had found then.
    """
    while True:
        trials = outcomes(search)
        confirm(trials)
        found = Found(trials, repeats(search))
        write_tuned(path, best(search, found.trials, found.repeats))
        if len(outcomes(search)) == len(trials) or others_at_work(search):
            return found


def told(tuned: Tuned) -> str:
    """Which trial is best, and how good it is."""
    again = tuned.confirmation
    if again is None or again.mean is None:
        return f"trial {tuned.trial}, validation loss {tuned.value:.4f} nats"
    error = "" if again.standard_error is None else f" (standard error {again.standard_error:.4f})"
    tied = f"; {joined([f'trial {number}' for number in again.tied])} within the noise of it" if again.tied else ""
    seeds = counted(len(again.seeds), "further seed")
    return f"trial {tuned.trial}, validation loss {again.mean:.4f} nats over {seeds}{error}{tied}"


def trial_table(search: Search, found: Found) -> Group:
    """The best of some trials, best first: by the mean over further seeds, where there is one."""
    trials = found.trials
    complete = sorted((trial for trial in trials if trial.value is not None), key=_value)
    again = {each.trial: each.mean for each in confirmed(search, found.trials, found.repeats)}
    complete.sort(key=lambda trial: again.get(trial.number, math.inf))  # stable
    names = list(search.space.ranges)
    rows = [
        [
            str(trial.number),
            loss(trial.value),
            *([loss(again.get(trial.number))] if again else []),
            *(significant(trial.hparams[name]) for name in names),
        ]
        for trial in complete[:TRIALS_IN_TERMINAL]
    ]
    lost = sum(trial.outcome == "diverged" for trial in trials)
    title = (
        f"best of {len(trials)} trials: {len(complete)} complete, {len(trials) - len(complete) - lost} pruned, "
        f"{lost} diverged"
    )
    means = [f"mean of {counted(search.settings.confirm_seeds, 'more seed')}"] if again else []
    return console.table(title, ["trial", "loss (nats)", *means, *names], rows)


def _value(trial: TrialOutcome) -> float:
    return float("inf") if trial.value is None else trial.value


def draw(folder: Path, search: Search, found: Found) -> None:
    """The figures of a search: the history of its trials, and a slice per hyperparameter."""
    from smupar_transfer.reporting.study_page import draw_study

    draw_study(folder, _study(search, found, ""))


def publish(folder: Path, search: Search, found: Found, go_on: str) -> None:
    """The figures, the table and the page of a search; ``go_on`` is the command line that makes use of it."""
    from smupar_transfer.reporting.study_page import publish_study

    publish_study(folder, _study(search, found, go_on))


def _study(search: Search, found: Found, go_on: str) -> Study:
    from smupar_transfer.reporting.study import Study

    settings, words = search.settings, words_given()
    secrets = secrets_of(words)  # a page is there to be shown to others
    command = next_command("tune", [masked(word, secrets) for word in words], ())
    return Study(
        settings.name,
        command,
        go_on,
        search.proxy,
        search.space.ranges,
        settings.n_trials,
        found.trials,
        confirmed(search, found.trials, found.repeats),
        sum(repeat.seconds for repeat in found.repeats),
    )
