"""Faults inflicted on tune, sweep, train and coordinates at random moments; after each, the same command finishes.

No finished run may be lost or counted twice, no trial stay marked as running, no process and no half file be left, and
where the order of runs is fixed, results equal those of the undisturbed command to the last bit.

A campaign that was interrupted goes on where it was: what was inflicted stands in ``--output``. The same number and
seed make the same fault.

    python scripts/fault_campaign.py --chains 250 --seed 0 --output results/fault_campaign
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.commands import CHECKS, FAMILIES, GRID, Started, start
from faults.inflict import FAULTS, NEEDS_MOUNT, Scene, can_mount
from faults.state import State, faults_of, state_of, tracebacks
from smupar_transfer.records import write_atomically
from smupar_transfer.training import machine_name

ATTEMPTS = 3
"""Of the same command after a fault, which may have told a person what to do once."""
ENDING_SECONDS = 60.0
"""Within which the processes of a command must have gone when it has: one that still imports notices late."""
SHORT = (
    ("train", "SIGKILL to the command"), ("train", "SIGTERM to the command"), ("tune", "SIGKILL to the command"),
    ("tune", "two commands at once"), ("sweep", "SIGKILL to the command"), ("sweep", "clock put forward or back"),
    ("sweep", "a file cut short, or a bit flipped"), ("coordinates", "SIGKILL to the command"),
)  # fmt: skip
"""What the test suite inflicts."""
CHAINS = "chains.jsonl"
REMARKS = "remarks.txt"
ASKED = """\
Asked of each: it finishes; no record is lost or there twice, and each equals the undisturbed one's to the last bit
(losses, masks, every validation); every place of a study has one trial, none is marked as running; where one trial
followed the other, the search went the same way; no process, no half file and no traceback is left. A row gives `faults
that hit: chains without anything wrong/chains`."""
HOW = """\
Commands run in processes forked from one that has imported everything; workers are processes of their own. The disk is
a file system of 24 MB in memory that a file fills; the clock is Python's."""


@dataclass(frozen=True)
class Chain:
    """What became of a command.

    Attributes:
        number: Which of all; with the seed, it makes the same fault again.
        family: The command.
        fault: What was inflicted.
        hits: How many times it hit a living command.
        wrong: What was not as it would have been without; empty if nothing.
    """

    number: int
    family: str
    fault: str
    hits: int
    wrong: list[str]


@dataclass(frozen=True)
class Undisturbed:
    """What a command leaves without faults, and how long it takes (seconds)."""

    state: State
    seconds: float


def undisturbed(folder: Path) -> dict[str, Undisturbed]:
    """Run every command once."""
    known = {}
    for name, family in FAMILIES.items():
        own = folder / name
        own.mkdir(parents=True)
        command = start(family.words, own)
        if command.wait() not in family.passes:
            raise SystemExit(f"{name} fails by itself: {command.errors.read_text()}")
        known[name] = Undisturbed(state_of(own / "results", family), time.monotonic() - command.began)
    return known


def inflict(number: int, seed: int, pair: tuple[str, str], folder: Path, known: Undisturbed) -> Chain:
    """Inflict a fault on a command, run it to its end, and look at what it left."""
    name, title = pair
    fault, workers = FAULTS[title]
    own = folder / f"chain{number}"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    source = random.Random(f"{seed} {number}")
    scene = Scene(FAMILIES[name], own, source, known.seconds * (2 if workers > 1 else 1), workers)
    hits = fault(scene)
    wrong = list(_left_over(scene.commands))
    for _ in range(ATTEMPTS):
        last = scene.started()
        if last.wait() in scene.family.passes:
            break
    else:
        wrong.append(f"does not finish: {last.code}, {_said(last)}")
    wrong += _left_over([last])
    wrong += tracebacks(scene.commands)
    one_by_one = workers == 1 and "commands" not in title
    if last.code in scene.family.passes:
        wrong += faults_of(scene.results, scene.family, known.state, ordered=one_by_one)
    for command in scene.commands:
        command.end()
    shutil.rmtree(own, ignore_errors=True)
    return Chain(number, name, title, hits, wrong)


def _left_over(commands: Sequence[Started]) -> Iterator[str]:
    """Processes that outlive their command, after some seconds' grace."""
    end = time.monotonic() + ENDING_SECONDS
    for command in commands:
        if command.poll() is None:
            yield "hangs"
            command.end()
            continue
        while (left := command.processes()) and time.monotonic() < end:
            time.sleep(0.05)
        if left:
            yield f"{len(left)} processes left"
            command.end()


def _said(command: Started) -> str:
    lines = [line for line in command.errors.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing"


def planned(chains: int, seed: int) -> list[tuple[str, str]]:
    """Which fault hits which command, every pair equally often before any comes again."""
    mounts = can_mount()
    pairs = [
        (name, title)
        for title in FAULTS
        for name in FAMILIES
        if (mounts or title not in NEEDS_MOUNT) and (name == "tune" or "database" not in title)
        and (name != "train" or FAULTS[title][1] == 1)
    ]  # fmt: skip
    source = random.Random(seed)
    order: list[tuple[str, str]] = []
    while len(order) < chains:
        order += source.sample(pairs, len(pairs))
    return order[:chains]


def campaign(
    pairs: Sequence[tuple[str, str]], seed: int, folder: Path, done: Path | None, share: tuple[int, int] = (0, 1)
) -> list[Chain]:
    """Inflict faults, and write down each at once.

    Args:
        pairs: Commands and faults.
        seed: The seed of everything random.
        folder: Where commands run.
        done: The file of what was inflicted; None to keep none.
        share: Which part of how many this process inflicts.
    """
    (folder / "corpus.txt").write_bytes(bytes(random.Random(0).choices(b"abcdefgh \n", k=4000)))
    (folder / "grid.yaml").write_text(GRID)
    (folder / "checks.yaml").write_text(CHECKS)
    chains = inflicted(done)
    numbers = {chain.number for chain in chains}
    left = [number for number in range(share[0], len(pairs), share[1]) if number not in numbers]
    known = undisturbed(folder) if left else {}
    for number in left:
        pair = pairs[number]
        chains.append(inflict(number, seed, pair, folder, known[pair[0]]))
        print(json.dumps(vars(chains[-1])), flush=True)
        if done is not None:
            done.parent.mkdir(parents=True, exist_ok=True)
            with done.open("a") as file:
                file.write(json.dumps(vars(chains[-1])) + "\n")
    return chains if done is None else inflicted(done)


def inflicted(done: Path | None) -> list[Chain]:
    """What was inflicted so far, by all that share in it."""
    lines = done.read_text().splitlines() if done is not None and done.exists() else []
    return sorted((Chain(**json.loads(line)) for line in lines), key=lambda chain: chain.number)


def page(chains: Sequence[Chain], seed: int, command: str, remarks: str = "") -> str:
    """The report, as Markdown; with what somebody had to remark on it, from ``REMARKS`` in its folder."""
    hits, good = sum(chain.hits for chain in chains), sum(not chain.wrong for chain in chains)
    rows = []
    for title in FAULTS:
        cells = []
        for name in FAMILIES:
            own = [chain for chain in chains if (chain.family, chain.fault) == (name, title)]
            faults = sum(chain.hits for chain in own)
            cells.append(f"{faults}: {sum(not chain.wrong for chain in own)}/{len(own)}" if own else "")
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    wrong = [
        f"- {chain.family}, {chain.fault} ({chain.number}): {'; '.join(chain.wrong)}" for chain in chains if chain.wrong
    ]
    return "\n".join(
        [
            "# fault_campaign",
            "",
            f"**Is anything lost when something dies?** {hits:,} faults hit {len(chains):,} commands. "
            f"The same command, run again, left in {good:,} of them what the undisturbed one leaves.",
            "",
            ASKED,
            "",
            "| fault | " + " | ".join(FAMILIES) + " |",
            "|---|" + "--:|" * len(FAMILIES),
            *rows,
            "",
            "What was wrong:" if wrong else "Nothing was wrong.",
            "",
            *wrong,
            *([""] if wrong else []),
            *([remarks.strip(), ""] if remarks.strip() else []),
            f"{HOW} Seed {seed}, {machine_name('cpu')}, Python {platform.python_version()}.",
            "",
            "```bash",
            command,
            "```",
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Inflict and report; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="only what the test suite inflicts")
    parser.add_argument("--only", default="", help="only faults with these words in their name")
    parser.add_argument("--share", default="0/1", help="the part that this process inflicts: 0/N to N-1/N")
    parser.add_argument("--output", type=Path, help="folder of the report; none is written if left out")
    given = parser.parse_args(arguments)
    pairs = list(SHORT) if given.short else planned(given.chains, given.seed)
    pairs = [pair for pair in pairs if given.only in " ".join(pair)]
    done = None if given.output is None else given.output / CHAINS
    with tempfile.TemporaryDirectory() as folder:
        part, parts = map(int, given.share.split("/"))
        chains = campaign(pairs, given.seed, Path(folder), done, (part, parts))
    command = shlex.join(["python", "scripts/fault_campaign.py", *(sys.argv[1:] if arguments is None else arguments)])
    if given.output is not None:
        path = given.output / REMARKS
        remarks = path.read_text(encoding="utf-8") if path.exists() else ""
        write_atomically(given.output / "README.md", page(chains, given.seed, command, remarks))
    return int(any(chain.wrong for chain in chains))


if __name__ == "__main__":
    sys.exit(main())
