"""``smupar tune``: search base hyperparameters on the dense proxy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from rich.console import Group

from smupar_transfer.app import show, specs
from smupar_transfer.app.given import (
    PROXY_WORDS,
    RUN_WORDS,
    next_command,
    path_word,
    set_by_hand,
    words_given,
)
from smupar_transfer.app.kernels import resolved
from smupar_transfer.app.show import console, progress_bar
from smupar_transfer.records import Tuned, write_tuned
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON
from smupar_transfer.tuning import (
    Range,
    Search,
    SearchSpace,
    StudySettings,
    TrialOutcome,
    best,
    outcomes,
    run_search,
)

if TYPE_CHECKING:
    from smupar_transfer.verification.study_page import Study

SHOWN_TRIALS = 5


def run(config: DictConfig) -> None:
    """Search, print the best trials, write ``tuned.yaml`` and a page about the search.

    Raises:
        InputError: a value is impossible, or a person set a target, of which a search on the proxy knows nothing.
    """
    for key in set_by_hand(config, "target"):
        problem = "has no say in a search, which is for the dense proxy"
        raise InputError(key, OmegaConf.select(config, key), problem, "give it to smupar transfer")
    search = make_search(config)
    tuned = tune(config, search)
    folder = Path(config.results_dir) / config.study.name
    go_on = suggested(config, folder)
    publish(folder, search, go_on)
    console().print(trial_table(search))
    console().print(f"\nwrote {folder / 'tuned.yaml'}: trial {tuned.trial}, validation loss {tuned.value:.4f} nats")
    console().print(f"wrote {folder / 'report.html'}", soft_wrap=True)
    console().print(f"next: {go_on}", soft_wrap=True)


def suggested(config: DictConfig, folder: Path) -> str:
    """How to transfer to four times the width, as sparse as the theory has been tested."""
    width = 4 * config.model.width
    sparsity = max(0.0, 1 - MINIMUM_WEIGHTS_PER_NEURON / width)
    words = [path_word("tuned", folder / "tuned.yaml"), f"target.width={width}", f"target.sparsity={sparsity:g}"]
    return next_command("transfer", words, PROXY_WORDS | RUN_WORDS)


def make_search(config: DictConfig) -> Search:
    """The search that a configuration describes."""
    tuning = config.tuning
    space = {
        str(name): Range(axis.low, axis.high, axis.log)
        for name, axis in tuning.space.items()
        if not OmegaConf.is_missing(axis, "low")
    }
    return Search(
        settings=StudySettings(
            name=config.study.name,
            storage=config.study.storage,
            n_trials=tuning.n_trials,
            startup_trials=tuning.startup_trials,
            pruner_startup_trials=tuning.pruner_startup_trials,
            seed=config.seed,
        ),
        proxy=specs.proxy_spec(config),
        space=SearchSpace(space),
        data=specs.data_request(config),
        execution=specs.execution(config),
    )


def tune(config: DictConfig, search: Search) -> Tuned:
    """Run the missing trials and write ``tuned.yaml``."""
    workers = specs.workers(config)
    done = outcomes(search)
    lowest = min((trial.value for trial in done if trial.value is not None), default=float("inf"))
    total = max(search.settings.n_trials, len(done))
    if len(done) < total:
        search = replace(search, execution=resolved(search.execution))
    with progress_bar(f"tuning {search.settings.name}", total, len(done)) as bar:
        for trial in run_search(search, workers):
            lowest = min(lowest, float("inf") if trial.value is None else trial.value)
            bar.advance(f"best {show.loss(lowest)}")
    tuned = best(search)
    write_tuned(Path(config.results_dir) / search.settings.name / "tuned.yaml", tuned)
    return tuned


def trial_table(search: Search) -> Group:
    """The best trials, best first."""
    trials = outcomes(search)
    complete = sorted((trial for trial in trials if trial.value is not None), key=_value)
    names = list(search.space.ranges)
    rows = [
        [str(trial.number), show.loss(trial.value), *(show.number(trial.hparams[name]) for name in names)]
        for trial in complete[:SHOWN_TRIALS]
    ]
    lost = sum(trial.outcome == "diverged" for trial in trials)
    title = (
        f"best of {len(trials)} trials: {len(complete)} complete, {len(trials) - len(complete) - lost} pruned, "
        f"{lost} diverged"
    )
    return show.table(title, ["trial", "loss (nats)", *names], rows)


def _value(trial: TrialOutcome) -> float:
    return float("inf") if trial.value is None else trial.value


def draw(folder: Path, search: Search) -> None:
    """The figures of a search: its history, and a slice per hyperparameter."""
    from smupar_transfer.verification.study_page import draw_study

    draw_study(folder, _study(search, ""))


def publish(folder: Path, search: Search, go_on: str) -> None:
    """The figures, the table and the page of a search; ``go_on`` is the command line that makes use of it."""
    from smupar_transfer.verification.study_page import publish_study

    publish_study(folder, _study(search, go_on))


def _study(search: Search, go_on: str) -> Study:
    from smupar_transfer.verification.study_page import Study

    settings = search.settings
    command = next_command("tune", words_given(), ())
    return Study(settings.name, command, go_on, search.proxy, search.space.ranges, settings.n_trials, outcomes(search))
