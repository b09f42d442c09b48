"""What people see in a terminal: tables of at most 100 columns, progress with rate and time left."""

from __future__ import annotations

import itertools
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, Group, JustifyMethod
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Table
from rich.text import Text

from smupar_transfer.records import CoordinateRecord, Evaluation, RunFailure, RunRecord
from smupar_transfer.reporting.number_format import duration, loss

if TYPE_CHECKING:
    from pathlib import Path

    from smupar_transfer.reporting.outcome import Outcome
    from smupar_transfer.sweeps.pricing import Price
    from smupar_transfer.sweeps.sweep import Sweep

MAXIMUM_COLUMNS = 100
"""Characters of a line in a terminal, in a file or in a pipe alike."""
MANY_ITEMS = 2000
"""Items whose planning takes a second or more."""

Item = TypeVar("Item")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the caller see that the reader went away, instead of leaving with an error code."""
        raise BrokenPipeError


def terminal(*, stderr: bool = False) -> Console:
    """A console on standard output or error, no wider than 100 columns; files and pipes get 100."""
    probe = Console(stderr=stderr)
    # a file or a pipe gets the same from every window, so that outputs can be compared
    width = min(MAXIMUM_COLUMNS, probe.width) if probe.is_terminal else MAXIMUM_COLUMNS
    return _Console(width=width, highlight=False, soft_wrap=False, stderr=stderr)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], bold: Container[tuple[int, int]] = ()
) -> Group:
    """A heading and a table whose first column is text and whose others are numbers.

    Args:
        title: The heading.
        columns: The names above the columns; there is no header if all are nameless.
        rows: The entries, as many a row as there are columns.
        bold: The row and column of each entry that stands out.
    """
    made = Table(show_header=any(columns), box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for index, (name, width) in enumerate(zip(columns, _widths(columns, rows), strict=True)):
        side: JustifyMethod = "left" if index == 0 else "right"
        made.add_column(name, justify=side, no_wrap=index == 0, overflow="fold", width=width)
    for line, row in enumerate(rows):
        # as Text: in a string, rich takes words in square brackets for styles
        made.add_row(*(Text(entry, "bold" if (line, at) in bold else "") for at, entry in enumerate(row)))
    return Group(Text(title, style="bold"), made)


def _least(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Widths at which no entry and no word of a header is broken."""
    return [max([1, *map(len, name.split()), *(len(row[index]) for row in rows)]) for index, name in enumerate(columns)]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[int | None]:
    """Widths of columns that together fit; headers, not entries, are wrapped for it. None where that is not enough."""
    widths = _least(columns, rows)
    # a blank between every two columns
    spare = MAXIMUM_COLUMNS - sum(widths) - len(columns) + 1
    if spare < 0:
        return [None] * len(columns)
    for index, name in enumerate(columns):
        if 0 < len(name) - widths[index] <= spare:
            spare -= len(name) - widths[index]
            widths[index] = len(name)
    return widths


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many columns of a table, from the left, fit into 100 characters without breaking a word."""
    ends = itertools.accumulate(width + 1 for width in _least(columns, rows))
    return sum(end <= MAXIMUM_COLUMNS + 1 for end in ends)


def introduction(sweep: Sweep, file: Path | None) -> None:
    """Print what a sweep asks, at once: what comes next takes seconds.

    Args:
        sweep: The sweep.
        file: The file of a person's own sweep; None for a sweep that comes with the package.
    """
    line(f"sweep {sweep.name}" + ("" if file is None else f" of {file}"))
    line(sweep.question.strip())
    if sweep.expected.strip():
        line(f"expected: {sweep.expected.strip()}")
    line("")


def stated_cost(sweep: Sweep) -> None:
    """Print what a sweep's file says that it costs, if it does."""
    if sweep.cost.strip():
        line(f"cost, by its file: {sweep.cost.strip()}")


def line(text: str) -> None:
    """Print a line as it is, however long."""
    # markup=False: paths and lists have square brackets, which rich would take for styles
    terminal().print(text, markup=False, soft_wrap=True)


def outcome(shown: Outcome) -> None:
    """Print tables, as far to the right as 100 characters go, then the verdict with its summary."""
    out = terminal()
    for made in shown.tables:
        if not made.rows:
            continue
        count = fitting(made.columns, made.rows)
        more = "" if count == len(made.columns) else f" (more columns in {made.name}.csv)"
        out.print(table(made.title + more, made.columns[:count], [row[:count] for row in made.rows]))
        out.print()
    summary = shown.summary
    count = fitting(summary.columns, summary.rows)
    rows = [row[:count] for row in summary.rows]
    out.print(table(shown.sentence, summary.columns[:count], rows, summary.best))
    if shown.judgement:
        out.print(shown.judgement, markup=False)
    for note in shown.notes:
        out.print(note, markup=False)


def seconds(value: float) -> str:
    """A duration as it is printed in a terminal."""
    return duration(value, hour_digits=1)


class ProgressBar:
    """A bar on standard error: done of total, a text of one's own, time spent and time left."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def expect(self, total: int) -> None:
        """There are more, or fewer, to do than was thought."""
        self._progress.update(self._task, total=total)

    def start_at(self, done: int) -> None:
        """So much was done before; time spent, rate and time left count from now, and the bar is drawn from now on."""
        self._progress.start()
        self._progress.reset(self._task, completed=done, text="")

    def advance(self, text: str = "") -> None:
        """One more is done."""
        self._progress.update(self._task, advance=1, text=text)

    def say(self, text: str) -> None:
        """Nothing more is done, and this is why."""
        self._progress.update(self._task, text=text)


def tracked(title: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items; where there are very many, a bar on the terminal shows how far they are, and goes away again."""
    screen = terminal(stderr=True)
    yield from track(
        items, title, console=screen, transient=True, disable=len(items) < MANY_ITEMS or not screen.is_interactive
    )


@contextmanager
def progress_bar(title: str, total: int, done: int = 0, *, at_once: bool = True) -> Iterator[ProgressBar]:
    """Show a bar while the block runs; it stays when the block ends.

    Args:
        title: What stands before it.
        total: How much there is to do.
        done: How much of it is done.
        at_once: Whether it is drawn before ``start_at`` is called: what refuses a run has a line of its own.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    progress = Progress(*columns, console=terminal(stderr=True), refresh_per_second=4)
    bar = ProgressBar(progress, progress.add_task(title, total=total, completed=done, text=""))
    if at_once:
        progress.start()
    try:
        yield bar
    finally:
        if progress.live.is_started:
            progress.stop()


class RunsBar:
    """Shows how far the runs of a sweep are: see ``sweeps.progress.Watcher``."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar

    def expect(self, total: int) -> None:
        """See ``Watcher``."""
        self._bar.expect(total)

    def finished(self, record: RunRecord | CoordinateRecord) -> None:
        """See ``Watcher``; says what came out."""
        said = f"{record.wall_seconds:.1f} s"
        if isinstance(record, RunRecord):
            said = f"loss {loss(record.validation_loss)}"
        self._bar.advance(f"{record.spec.parametrization} {said}")

    def failed(self, failure: RunFailure) -> None:
        """See ``Watcher``."""
        self._bar.say(f"{failure.key[:12]} failed")

    def waiting(self, count: int) -> None:
        """See ``Watcher``."""
        self._bar.say(f"waiting for {count} of another command")


@contextmanager
def watch(title: str, total: int, done: int) -> Iterator[RunsBar]:
    """Show a bar while a sweep runs."""
    with progress_bar(title, total, done) as bar:
        yield RunsBar(bar)


def time_left(price: Price, workers: int) -> str:
    """How long it takes to train what is to be trained, in words, with a range where something was timed repeatedly."""
    if not any(item.group.missing for item in price.groups):
        return "0.0 s, nothing is missing"
    low, high = (seconds(value / workers) for value in price.range_left)
    between = "" if low == high else f", {low} to {high},"
    return f"{seconds(price.seconds_left / workers)}{between} with workers={workers} ({price.source})"


class TrainingBar:
    """An observer that shows loss and tokens per second."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar, self._validation = bar, ""
        self._started, self._tokens = time.perf_counter(), 0

    def on_start(self, step: int) -> None:
        """See ``Observer``; tokens per second are those of this session."""
        self._bar.start_at(step)
        self._started, self._tokens = time.perf_counter(), 0

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        """See ``Observer``."""
        del step
        self._tokens += tokens
        # of the whole session: the rate of single steps jumps with every validation
        rate = self._tokens / (time.perf_counter() - self._started)
        self._bar.advance(f"loss {loss:.3f}{self._validation}  {rate:,.0f} tokens/s")

    def on_evaluation(self, evaluation: Evaluation) -> None:
        """See ``Observer``."""
        if evaluation.validation_loss is not None:
            self._validation = f"  validation {evaluation.validation_loss:.3f}"
