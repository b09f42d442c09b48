"""``smupar tune``: search base hyperparameters on the dense proxy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
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
from smupar_transfer.records import write_tuned
from smupar_transfer.reporting.number_format import loss, significant
from smupar_transfer.sweeps.overwriting import refuse_other_page
from smupar_transfer.theory import InputError
from smupar_transfer.training.kernel_fallback import resolved
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON
from smupar_transfer.tuning import (
    Range,
    Search,
    SearchSpace,
    StudySettings,
    TrialOutcome,
    best,
    file_storage,
    outcomes,
    run_search,
)

if TYPE_CHECKING:
    from smupar_transfer.reporting.study_page import Study

TRIALS_IN_TERMINAL = 5


def run(config: DictConfig) -> None:
    """Search, print the best trials, write ``tuned.yaml`` and a page about the search.

    Raises:
        InputError: a value is impossible, or a person set a target, of which a search on the proxy knows nothing.
    """
    for key in set_by_hand(config, "target"):
        problem = "has no say in a search, which is for the dense proxy"
        raise InputError(key, OmegaConf.select(config, key), problem, "give it to smupar transfer")
    search, folder = make_search(config), Path(config.results_dir) / config.study.name
    refuse_other_page(folder, "tune", "study.name")
    if submitted(config, ["tune"], config.study.name, words_given()):
        return
    trials = tune(config, search)
    tuned = best(search, trials)
    go_on = suggested(config, folder)
    publish(folder, search, trials, go_on)
    console.terminal().print(trial_table(search, trials))
    console.terminal().print(
        f"\nwrote {folder / 'tuned.yaml'}: trial {tuned.trial}, validation loss {tuned.value:.4f} nats"
    )
    console.terminal().print(f"wrote {folder / 'report.html'}", soft_wrap=True)
    console.terminal().print(f"next: {go_on}", soft_wrap=True)


def suggested(config: DictConfig, folder: Path) -> str:
    """How to transfer to four times the width, as sparse as the theory has been tested."""
    width = 4 * config.model.width
    sparsity = max(0.0, 1 - MINIMUM_WEIGHTS_PER_NEURON / width)
    words = [path_word("tuned", folder / "tuned.yaml"), f"target.width={width}", f"target.sparsity={sparsity:g}"]
    return next_command("transfer", words, PROXY_WORDS | RUN_WORDS)


def make_search(config: DictConfig) -> Search:
    """The search that a configuration describes."""
    tuning = config.tuning
    space = _space(config)
    search = Search(
        settings=StudySettings(
            name=config.study.name,
            storage=config.study.storage or file_storage(Path(config.results_dir) / config.study.name / "study.db"),
            n_trials=tuning.n_trials,
            startup_trials=tuning.startup_trials,
            pruner_startup_trials=tuning.pruner_startup_trials,
            seed=config.seed,
        ),
        proxy=config_to_spec.proxy_spec(config),
        space=SearchSpace(space),
        data=config_to_spec.data_request(config),
        execution=config_to_spec.execution(config),
        tracking=config_to_spec.tracking(config, Path(config.results_dir) / config.study.name),
    )
    for key in set_by_hand(config, "hparams"):
        _refuse_outside(key, search)
    return search


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


def tune(config: DictConfig, search: Search) -> list[TrialOutcome]:
    """Have the missing trials run, by this command and others that search the same study, and write ``tuned.yaml``.

    Returns:
        The finished trials, of which ``tuned.yaml`` has the best.
    """
    workers = config_to_spec.workers(config)
    done = outcomes(search)
    path = Path(config.results_dir) / search.settings.name / "tuned.yaml"
    if not done and path.exists():  # as in a clone, whose published study came without its database
        problem = f"is new, but {path} is there, of another study: it would be lost"
        raise InputError("study.name", search.settings.name, problem, "choose another study.name or results_dir")
    lowest = min((_value(trial) for trial in done), default=float("inf"))
    total = max(search.settings.n_trials, len(done))
    if len(done) < total:
        search = replace(search, execution=resolved(search.execution))
    with progress_bar(f"tuning {search.settings.name}", total, len(done)) as bar:

        def wait(count: int) -> None:
            bar.say(f"best {loss(lowest)}, waiting for {count} of another command")

        with closing(run_search(search, workers, wait, done, config.launcher)) as ended:
            for trial in ended:
                lowest = min(lowest, _value(trial))
                bar.advance(f"best {loss(lowest)}")
    return settled(search, path)


def settled(search: Search, path: Path) -> list[TrialOutcome]:
    """Write the best point, again if trials ended meanwhile: of several commands, the last has seen all trials.

    Returns:
        The trials among which it is the best.
    """
    while True:
        trials = outcomes(search)
        write_tuned(path, best(search, trials))
        if len(outcomes(search)) == len(trials):
            return trials


def trial_table(search: Search, trials: Sequence[TrialOutcome]) -> Group:
    """The best of some trials, best first."""
    complete = sorted((trial for trial in trials if trial.value is not None), key=_value)
    names = list(search.space.ranges)
    rows = [
        [str(trial.number), loss(trial.value), *(significant(trial.hparams[name]) for name in names)]
        for trial in complete[:TRIALS_IN_TERMINAL]
    ]
    lost = sum(trial.outcome == "diverged" for trial in trials)
    title = (
        f"best of {len(trials)} trials: {len(complete)} complete, {len(trials) - len(complete) - lost} pruned, "
        f"{lost} diverged"
    )
    return console.table(title, ["trial", "loss (nats)", *names], rows)


def _value(trial: TrialOutcome) -> float:
    return float("inf") if trial.value is None else trial.value


def draw(folder: Path, search: Search, trials: Sequence[TrialOutcome]) -> None:
    """The figures of a search: the history of its trials, and a slice per hyperparameter."""
    from smupar_transfer.reporting.study_page import draw_study

    draw_study(folder, _study(search, trials, ""))


def publish(folder: Path, search: Search, trials: Sequence[TrialOutcome], go_on: str) -> None:
    """The figures, the table and the page of a search; ``go_on`` is the command line that makes use of it."""
    from smupar_transfer.reporting.study_page import publish_study

    publish_study(folder, _study(search, trials, go_on))


def _study(search: Search, trials: Sequence[TrialOutcome], go_on: str) -> Study:
    from smupar_transfer.reporting.study_page import Study

    settings, words = search.settings, words_given()
    secrets = secrets_of(words)  # a page is there to be shown to others
    command = next_command("tune", [masked(word, secrets) for word in words], ())
    return Study(settings.name, command, go_on, search.proxy, search.space.ranges, settings.n_trials, list(trials))
