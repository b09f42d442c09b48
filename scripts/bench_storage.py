"""What does a study cost beside its trainings, and do many commands share it without an error?

The first table is Optuna's storage alone: trials of four parameters and five validations, whose training takes no time,
by one and two processes without a pause. The second is the whole search of this package (sampler, pruner, claims,
storage), by commands that all start at once; every place of the plan must have been run exactly once.

    python scripts/bench_storage.py --postgresql postgresql+psycopg://user@host/database --output results/bench_storage
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple

import optuna
import pandas as pd
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url

from smupar_transfer.records import BudgetSpec, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import DataRequest, Execution, load
from smupar_transfer.training.machine import machine_name
from smupar_transfer.tuning import Range, Search, SearchSpace, StudySettings, file_storage, run_search
from smupar_transfer.tuning.objective import Objective
from smupar_transfer.tuning.search import close_study, shared_study
from smupar_transfer.tuning.storage import open_storage
from smupar_transfer.tuning.study import finished_trials, places

SECONDS = 10.0
"""Of the training that a trial's overhead is compared with."""
NAMES = ("learning_rate", "init_std", "input_multiplier", "output_multiplier")
SPACE = SearchSpace({name: Range(0.01, 1.0) for name in NAMES})
VALIDATIONS = 5
STORAGES: dict[str, Callable[[str], optuna.storages.BaseStorage]] = {
    "SQLite, as Optuna opens it": lambda url: RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 20}}),
    "SQLite, written ahead (the default)": open_storage,
    "Journal file": lambda url: JournalStorage(JournalFileBackend(str(make_url(url).database))),
    "PostgreSQL, a connection kept": lambda url: RDBStorage(url, engine_kwargs={"pool_pre_ping": True, "pool_size": 1}),
    "PostgreSQL, a connection a transaction (the default)": open_storage,
}


class Cost(NamedTuple):
    """What a process spent on its trials.

    Attributes:
        processor: Seconds of processor time a trial, the process's own (not the server's).
        wall: Seconds a trial.
        error: The last line of what went wrong; empty if nothing did.
    """

    processor: float
    wall: float
    error: str = ""


def trivial(trial: optuna.Trial) -> float:
    """A trial without a training: its loss falls from validation to validation."""
    base = sum(abs(trial.suggest_float(name, 0.01, 1.0, log=True) - 0.1) for name in NAMES)
    for step in range(1, VALIDATIONS + 1):
        trial.report(base + 1 / step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return base


def storage_alone(kind: str, url: str, name: str, trials: int) -> None:
    """Run trials at random points."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=STORAGES[kind](url), study_name=name, load_if_exists=True)
    study.sampler = optuna.samplers.RandomSampler()
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=VALIDATIONS)
    study.optimize(trivial, n_trials=trials)


def whole_search(_: str, url: str, name: str, trials: int) -> None:
    """Search as ``smupar tune`` does, without a training."""
    setattr(Objective, "__call__", lambda _, trial: trivial(trial))  # noqa: B010 - a checker knows methods only
    list(run_search(search(url, name, trials), workers=1))


def search(url: str, name: str, trials: int) -> Search:
    """A search whose trainings are left out."""
    request = DataRequest("text", __file__)
    spec = RunSpec(
        model=GPTSpec(width=16, depth=1, head_dim=8, vocab_size=256, context=16),
        base_width=16,
        sparsity=SparsitySpec(),
        parametrization="smupar",
        hparams=BaseHyperparameters(0.1, 0.1),
        optimizer=OptimizerSettings(),
        data=load(request).spec,
        budget=BudgetSpec(VALIDATIONS, batch_size=1, sequence_length=16),
    )
    return Search(StudySettings(name, url, trials), spec, SPACE, request, Execution())


Work = Callable[[str, str, str, int], None]


def _process(work: Work, words: tuple[str, str, str, int], start: Barrier, out: Queue[Cost]) -> None:
    try:
        start.wait()
        processor, wall = time.process_time(), time.perf_counter()
        work(*words)
        spent = Cost(time.process_time() - processor, time.perf_counter() - wall)
    except BaseException:
        spent = Cost(0.0, 0.0, traceback.format_exc().splitlines()[-1])
    out.put(spent)


def together(work: Work, words: tuple[str, str, str, int], processes: int) -> list[Cost]:
    """Have processes do the same at the same time."""
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(processes), context.Queue()
    running = [context.Process(target=_process, args=(work, words, start, out)) for _ in range(processes)]
    for process in running:
        process.start()
    costs = [out.get() for _ in running]
    for process in running:
        process.join()
    return costs


def measure_storage(kind: str, url: str, processes: int, trials: int) -> dict[str, object]:
    """A row of the first table."""
    costs = together(storage_alone, (kind, url, uuid.uuid4().hex, trials), processes)
    processor, wall = (statistics.fmean(getattr(cost, of) for cost in costs) / trials for of in ("processor", "wall"))
    return {
        "storage": kind,
        "processes": processes,
        "processor_ms": 1e3 * processor,
        "wall_ms": 1e3 * wall,
        "percent_of_10_s": 100 * wall / SECONDS,
        "errors": sum(bool(cost.error) for cost in costs),
    }


def measure_search(kind: str, url: str, commands: int, trials: int) -> dict[str, object]:
    """A row of the second table."""
    name = uuid.uuid4().hex
    costs = together(whole_search, (kind, url, name, trials), commands)
    wanted = search(url, name, trials)
    counts = Counter(places(finished_trials(shared_study(wanted).study)))
    close_study(replace(wanted))
    wall = max(cost.wall for cost in costs)
    processor = sum(cost.processor for cost in costs) / trials
    return {
        "storage": kind,
        "commands": commands,
        "trials": trials,
        "run_once": sum(count == 1 for place, count in counts.items() if place in range(trials)),
        "run_twice": sum(count > 1 for count in counts.values()),
        "errors": sum(bool(cost.error) for cost in costs),
        "trials_per_s": trials / wall,
        "processor_ms": 1e3 * processor,
        "percent_of_10_s": 100 * processor / SECONDS,
    }


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    shown = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in table.to_numpy()]
    rule = ["---"] * len(table.columns)
    return "\n".join(f"| {' | '.join(row)} |" for row in ([*map(str, table.columns)], rule, *shown))


PAGE = """# What a study costs beside its trainings

{sentence}

Storage alone, a trial of four parameters and {validations} validations, without a pause between trials:

{storage}

The whole search (sampler, pruner, claims, storage), all commands started at once; every place of the plan is run once:

{search}

Processor time is that of the commands, not of the server; wall time has that of whatever else the machine did. Trials
that take no time meet in the database far more often than trials of ten seconds: that is the hardest case. {busy}

`python scripts/bench_storage.py` on {machine}.
"""


def main(words: Sequence[str] | None = None) -> None:
    """Print both tables; write a page with them where ``--output`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", help="URL of an empty database; left out, there are no rows of it")
    parser.add_argument("--trials", type=int, default=500, help="of the whole search")
    parser.add_argument("--commands", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--each", type=int, default=40, help="trials of a process on the storage alone")
    parser.add_argument("--busy", default="", help="a sentence on what else the machine did")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:

        def url(kind: str) -> str:
            server: str = given.postgresql
            return server if kind.startswith("PostgreSQL") else file_storage(Path(folder) / f"{kind[:12]}.db")

        kinds = [kind for kind in STORAGES if given.postgresql or not kind.startswith("PostgreSQL")]
        alone = [measure_storage(kind, url(kind), count, given.each) for kind in kinds for count in (1, 2)]
        chosen = [kind for kind in kinds if "default" in kind]
        whole = [measure_search(kind, url(kind), count, given.trials) for kind in chosen for count in given.commands]
    storage, searches = pd.DataFrame(alone), pd.DataFrame(whole)
    print(f"{markdown(storage)}\n\n{markdown(searches)}")
    if given.output is not None:
        worst = searches.sort_values("percent_of_10_s").iloc[-1]
        sentence = (
            f"A search spends {worst['processor_ms']:.0f} ms of processor time a trial at most, "
            f"{worst['percent_of_10_s']:.2g} % of a training of ten seconds; of {len(searches)} searches by up to "
            f"{searches['commands'].max()} commands at once, each of {given.trials} places was run exactly once in "
            f"{sum(searches['run_once'] == given.trials)}, with {searches['errors'].sum()} errors."
        )
        given.output.mkdir(parents=True, exist_ok=True)
        parts = {"storage": markdown(storage), "search": markdown(searches), "busy": given.busy}
        told = PAGE.format(sentence=sentence, validations=VALIDATIONS, machine=machine_name("cpu"), **parts)
        (given.output / "README.md").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
