"""How much sooner do two workers, or two commands, end than one?

A default tuning and a sweep, each by one command with one worker, by one command
with two workers, and by two commands that are started together, in turns. The machine should do nothing else meanwhile.

    python scripts/bench_workers.py --rounds 2 --output results/bench_workers
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench_storage import markdown
from smupar_transfer.training.machine import machine_name

SEEDS, RATES = 3, 8
SWEEP = f"""\
question: How much sooner do two workers end?
overrides: [target.width=128, target.sparsity=0.75]
grids:
  - hparams.learning_rate: {{log2: {{first: -12, last: {-13 + RATES}, step: 1}}}}
    seed: {list(range(SEEDS))}
"""
WAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    "one worker": (1, ("workers=1",)),
    "two workers": (1, ("workers=2",)),
    "two commands": (2, ("workers=1",)),
}
"""The number of commands, and what each is told."""
WORK = {"tune": ("tune",), "sweep": ("sweep", "runs.yaml")}

PAGE = """\
# How much sooner two workers end

{sentence}

{table}

`tune` is the default search, the confirmation of its best points included; `sweep` trains {runs} networks of width
128 at s = .75. Each starts from nothing in an empty folder, so that starting Python, reading the text, gathering the
records and drawing the page are in the times. They are medians of {rounds} rounds, one after the other. Two workers
see each other's results in another order than one alone, and so try and prune other trials: the searches are alike,
not equal.

`python scripts/bench_workers.py --rounds {rounds}` on {machine}.
"""


def seconds(words: Sequence[str], commands: int) -> float:
    """How long commands take from nothing, started together in one folder.

    Raises:
        RuntimeError: one of them fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "runs.yaml").write_text(SWEEP, encoding="utf-8")
        line = [sys.executable, "-m", "smupar_transfer", *words]
        began = time.perf_counter()
        running = [
            subprocess.Popen(line, cwd=place, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(commands)
        ]
        said = [process.communicate()[1] for process in running]
        spent = time.perf_counter() - began
        if any(process.returncode for process in running):
            raise RuntimeError("\n".join(said))
        return spent


def table(times: pd.DataFrame) -> pd.DataFrame:
    """Medians of the rounds, and how many times sooner than one worker each way ends.

    Args:
        times: Columns ``command``, ``way`` and ``seconds``.
    """
    medians = times.groupby(["command", "way"], sort=False)["seconds"].median().reset_index()
    alone = medians[medians["way"] == "one worker"].set_index("command")["seconds"]
    medians["times_sooner"] = medians["command"].map(alone) / medians["seconds"]
    return medians


def main(words: Sequence[str] | None = None) -> None:
    """Print the table; write a page and the single times where ``--output`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(words)
    rows = []
    for number in range(given.rounds):
        for command in given.work:
            for way, (commands, told) in WAYS.items():
                rows.append((number, command, way, seconds([*WORK[command], *told], commands)))
                print(*rows[-1], flush=True)
    times = pd.DataFrame(rows, columns=["round", "command", "way", "seconds"])
    medians = table(times)
    print(markdown(medians))
    if given.output is not None:
        shares = medians.pivot_table(index="command", columns="way", values="times_sooner", sort=False)
        sentence = "; ".join(
            f"`{name}` ends {row['two workers']:.2f} times sooner with two workers, and {row['two commands']:.2f} "
            "times with two commands"
            for name, row in shares.iterrows()
        )
        about = {"table": markdown(medians), "rounds": given.rounds, "runs": SEEDS * RATES, "machine": machine_name()}
        given.output.mkdir(parents=True, exist_ok=True)
        page = PAGE.format(sentence=f"{sentence}.", **about)
        (given.output / "README.md").write_text(page, encoding="utf-8")
        times.round(1).to_csv(given.output / "times.csv", index=False)


if __name__ == "__main__":
    main()
