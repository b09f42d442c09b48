"""``smupar tune``: search base hyperparameters on the dense proxy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Group

from smupar_transfer.app import show, specs
from smupar_transfer.app.given import PROXY_WORDS, RUN_WORDS, next_command, path_word
from smupar_transfer.app.kernels import resolved
from smupar_transfer.app.show import console, progress_bar
from smupar_transfer.records import write_tuned
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

SHOWN_TRIALS = 5


def run(config: DictConfig) -> None:
    """Search, print the best trials, write ``tuned.yaml`` and the figures of the search."""
    search = make_search(config)
    trials = tune(config, search)
    folder, tuned = Path(config.results_dir) / config.study.name, best(search, trials)
    draw(folder, search, trials)
    console().print(trial_table(search, trials))
    console().print(f"\nwrote {folder / 'tuned.yaml'}: trial {tuned.trial}, validation loss {tuned.value:.4f} nats")
    console().print(f"next: {suggested(config, folder)}", soft_wrap=True)


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
            storage=config.study.storage or file_storage(Path(config.results_dir) / config.study.name / "study.db"),
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


def tune(config: DictConfig, search: Search) -> list[TrialOutcome]:
    """Have the missing trials run, by this command and others that search the same study, and write ``tuned.yaml``.

    Returns:
        The finished trials, of which ``tuned.yaml`` has the best.
    """
    workers = specs.workers(config)
    done = outcomes(search)
    lowest = min((_value(trial) for trial in done), default=float("inf"))
    total = max(search.settings.n_trials, len(done))
    if len(done) < total:
        search = replace(search, execution=resolved(search.execution))
    with progress_bar(f"tuning {search.settings.name}", total, len(done)) as bar:

        def wait(count: int) -> None:
            bar.say(f"best {show.loss(lowest)}, waiting for {count} of another command")

        with closing(run_search(search, workers, wait, done)) as ended:
            for trial in ended:
                lowest = min(lowest, _value(trial))
                bar.advance(f"best {show.loss(lowest)}")
    return settled(search, Path(config.results_dir) / search.settings.name / "tuned.yaml")


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


def draw(folder: Path, search: Search, trials: Sequence[TrialOutcome]) -> None:
    """The figures of a search: the history of its trials, and a slice per hyperparameter."""
    from smupar_transfer.verification.figures.search import draw_history, draw_slices
    from smupar_transfer.verification.figures.style import save

    values = [trial.value for trial in trials]
    save(draw_history([trial.number for trial in trials], values), folder / "history")
    columns = {name: [trial.hparams[name] for trial in trials] for name in search.space.ranges}
    logarithmic = {name: axis.log for name, axis in search.space.ranges.items()}
    save(draw_slices(columns, values, logarithmic), folder / "slices")
