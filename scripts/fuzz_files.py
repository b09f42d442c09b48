"""Mutants of every kind of file that the package reads: recipes, tuned points, records, sweep files, checkpoints, ...

Each is refused in one line of at most 300 characters, within 2 s on the processor, or read as what it says; nothing in
it runs, and no file outside its folder changes. The report goes to ``results/fuzz_files``.

    python scripts/fuzz_files.py --mutants 10000 --seed 0
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hostile.subjects import SUBJECTS, write_good
from hostile.trial import Guard, Outcome, judge, summary
from smupar_transfer.records import write_atomically
from smupar_transfer.training import machine_name


def fuzz(mutants: int, seed: int, folder: Path, guard: Guard, kinds: Sequence[str] = ()) -> list[Outcome]:
    """Judge mutants; the same number and seed make the same mutant in every run.

    Args:
        mutants: How many.
        seed: The seed of the choice of files and mutations.
        folder: Where they are written.
        guard: Watches their readers.
        kinds: Kinds of file that are judged; all if left out.
    """
    good, scratch = folder / "good", folder / "mutant"
    good.mkdir(parents=True)
    write_good(good)
    drawn = random.Random(seed).choices(SUBJECTS, [subject.weight for subject in SUBJECTS], k=mutants)
    outcomes = []
    for number, subject in enumerate(drawn):
        if not kinds or subject.name in kinds:
            outcomes.append(judge(subject, number, seed, good, scratch, guard))
            if outcomes[-1].fault:
                print(
                    f"{subject.name} {number} {outcomes[-1].mutation}: {outcomes[-1].fault}",
                    file=sys.stderr,
                    flush=True,
                )
    return outcomes


def page(outcomes: Sequence[Outcome], seed: int, command: str) -> str:
    """The report, as Markdown."""
    rows, faults = summary(outcomes), [outcome for outcome in outcomes if outcome.fault]
    columns = ["mutants", "refused", "read", "faults", "longest_message", "slowest_seconds"]
    lines = [f"| {kind} | " + " | ".join(f"{row[column]:,}" for column in columns) + " |" for kind, row in rows.items()]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return "\n".join(
        [
            "# fuzz_files",
            "",
            f"**Is every damaged or hostile file refused in one line?** Of {len(outcomes):,} mutants, "
            f"{sum(outcome.refused for outcome in outcomes):,} were refused in one line of at most 300 characters, "
            f"{sum(not outcome.refused and not outcome.fault for outcome in outcomes):,} were read and mean what they "
            f"say, and {len(faults):,} met a fault of ours.",
            "",
            "A mutant is a good file of its kind of which bits, bytes, lines, words, numbers or values were changed, "
            "one to three times. *Read*: what it says was checked again, most often by reading it once more. "
            "Nothing that a mutant named was run, and no file outside its own folder was opened for writing (Python's "
            "audit events). Times are those on the processor, limit 2 s; every mutant may take 4 GB of address space.",
            "",
            "| kind | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
            "|---|" + "--:|" * len(columns),
            *lines,
            "",
            f"Seed {seed}, {machine_name('cpu')}; {megabytes:,} MB of memory at most, PyTorch included.",
            "",
            "```bash",
            command,
            "```",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and report; 1 where a fault was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--output", type=Path, help="folder of the report; none is written if left out")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = fuzz(given.mutants, given.seed, Path(folder), Guard(), given.kinds)
    command = shlex.join(["python", "scripts/fuzz_files.py", *(sys.argv[1:] if arguments is None else arguments)])
    text = page(outcomes, given.seed, command)
    print(text)
    if given.output is not None:
        faults = [vars(outcome) for outcome in outcomes if outcome.fault]
        write_atomically(given.output / "README.md", text)
        content = {"seed": given.seed, "kinds": summary(outcomes), "faults": faults}
        write_atomically(given.output / "fuzz.json", json.dumps(content, indent=1) + "\n")
    return int(any(outcome.fault for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
