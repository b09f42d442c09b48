"""How many workers can share a folder? Light processes that only claim, store and release, up to 64 at once.

    python scripts/bench_claims.py --folder /shared/scratch --storage postgresql+psycopg://user@host/database

Prints a table for a folder (claims and records of sweeps) and, with --storage, one for a database (claims of studies).
A worker that trains for T seconds a run asks for 1/T claims a second: a folder that serves C claims a second is full at
C x T workers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from smupar_transfer.records import FileClaims, RunRecord, RunStore
from smupar_transfer.records.liveness import this_process
from smupar_transfer.tuning.claims import TrialClaims

SAMPLE = Path(__file__).parents[1] / "results" / "lr_by_sparsity"
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
STORED = (1_000, 10_000)


@dataclass(frozen=True)
class Sample:
    """What one process saw.

    Attributes:
        done: Names that it claimed.
        seconds: Wall time from its first look to its last.
        worst: Seconds of the slowest round of claim, record and release.
        processor: Seconds of a processor.
    """

    done: int
    seconds: float
    worst: float
    processor: float


def rounds_in_folder(folder: Path, record: RunRecord, names: range, offset: int) -> Sample:
    """Claim and store whatever of some runs is left, as ``SharedRuns`` does, without training."""
    store, done, worst, begun, used = RunStore(folder), 0, 0.0, time.perf_counter(), time.process_time()
    with FileClaims(folder / "claims") as claims:
        for number in (*names[offset:], *names[:offset]):
            key, started = f"{number:064x}", time.perf_counter()
            claim = None if key in store else claims.take(key)
            if claim is None:
                continue
            if key not in store:
                store.put(replace(record, key=key))
                done += 1
            claims.release(claim)
            worst = max(worst, time.perf_counter() - started)
    return Sample(done, time.perf_counter() - begun, worst, time.process_time() - used)


def rounds_in_database(url: str, names: range, offset: int) -> Sample:
    """Claim whatever places of a plan are left; a finished place's row stays, as in a study."""
    claims = TrialClaims(sa.create_engine(url, poolclass=sa.NullPool), "bench")
    done, worst, begun, used = 0, 0.0, time.perf_counter(), time.process_time()
    for number in (*names[offset:], *names[:offset]):
        started = time.perf_counter()
        done += claims.take([number], this_process()) is not None
        worst = max(worst, time.perf_counter() - started)
    return Sample(done, time.perf_counter() - begun, worst, time.process_time() - used)


def together(processes: int, rounds: Callable[[range, int], Sample], count: int) -> list[Sample]:
    """What so many processes saw, which shared ``count`` names and began at different ones."""
    offsets = [count * number // processes for number in range(processes)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pool.starmap(rounds, [(range(count), offset) for offset in offsets], chunksize=1)


def row(processes: int, samples: list[Sample], count: int) -> str:
    """A line of a table."""
    assert sum(sample.done for sample in samples) == count, "each name once"
    seconds, worst = max(sample.seconds for sample in samples), max(sample.worst for sample in samples)
    processor = 1000 * sum(sample.processor for sample in samples) / count
    return f"| {processes} | {count / seconds:,.0f} | {processor:.1f} | {1000 * worst:.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to measure; a temporary folder otherwise")
    parser.add_argument("--storage", help="URL of an empty database")
    parser.add_argument("--count", type=int, default=1000, help="names that are shared")
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES)
    parser.add_argument("--stored", type=int, nargs="+", default=STORED, help="sizes of stores that are gathered")
    options = parser.parse_args()
    record = next(iter(RunStore(SAMPLE)))
    head = "| processes | claims a second | processor, ms a claim | slowest, ms |\n|--:|--:|--:|--:|"
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        print(f"folder: claim, record, release\n\n{head}")
        for processes in options.processes:
            folder = Path(scratch) / str(processes)
            rounds = partial(rounds_in_folder, folder, record)
            print(row(processes, together(processes, rounds, options.count), options.count), flush=True)
        print("\nstore\n\n| records | bytes | list keys, s | read all, s | gather, s |\n|--:|--:|--:|--:|--:|")
        for count in options.stored:
            print(gathered(Path(scratch) / "stored" / str(count), record, count), flush=True)
    if options.storage:
        print(f"\ndatabase: claim\n\n{head}")
        engine = sa.create_engine(options.storage, poolclass=sa.NullPool)
        for processes in options.processes:
            TrialClaims(engine, "bench").create_table()
            with engine.begin() as connection:
                connection.execute(sa.text("delete from smupar_claims"))
            rounds = partial(rounds_in_database, options.storage)
            print(row(processes, together(processes, rounds, options.count), options.count), flush=True)


def gathered(folder: Path, record: RunRecord, count: int) -> str:
    """A line about a store of so many records, none of which is gathered yet."""
    store, runs = RunStore(folder), folder / "runs"
    store.put(record)
    line = json.loads((runs / f"{record.key}.json").read_text(encoding="utf-8"))
    for number in range(count - 1):
        key = f"{number:064x}"
        (runs / f"{key}.json").write_text(json.dumps({**line, "key": key}), encoding="utf-8")
    times = [time.perf_counter()]
    store.keys()
    times.append(time.perf_counter())
    sum(1 for _ in store)
    times.append(time.perf_counter())
    store.compact()
    times.append(time.perf_counter())
    spent = [after - before for before, after in itertools.pairwise(times)]
    size = (folder / store.file).stat().st_size // count
    return f"| {count:,} | {size:,} each | " + " | ".join(f"{seconds:.2f}" for seconds in spent) + " |"


if __name__ == "__main__":
    main()
