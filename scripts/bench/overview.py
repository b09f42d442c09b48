"""The page over all machines: drawn from their measurements, so that none is spoken of that has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.cells import Result
from bench.numbers import Crossover, Setting, crossover, in_words, of_setting, settings, speed_up
from bench.page import table, verdict, where
from bench.targets import TARGETS, TOKENS, outcomes

WIDTH = 1024
"""At which machines are compared."""
VARIANT, RIVALS = "auto", ("textbook", "dense", "dense_bf16")

Machines = Mapping[Path, Sequence[Result]]
"""What was measured, by the folder that holds it; at least one, each with at least one cell."""


def overview(machines: Machines, command: str, notes: str) -> str:
    """README of the folder of all machines.

    Args:
        machines: what was measured.
        command: that measures another one.
        notes: what a person has to say, Markdown; may be empty.
    """
    sections = [
        "# bench_sparse",
        f"**Does a training step cost what its density says?** That depends on the machine. {_sentence(machines)}",
        "Each machine has a page that says how it was measured, with all numbers, figures, memory and the parts of a "
        f"step: {', '.join(_link(folder, results) for folder, results in machines.items())}. `{command}` adds the "
        "machine that it runs on. A machine that nobody has measured is not here.",
        f"## Speed of `{VARIANT}` by machine",
        f"A whole training step of a 2-layer GPT of width {WIDTH}, {_words(TOKENS)} tokens: times as fast as each "
        "rival, medians with quartiles in brackets. *textbook* is `weight * mask` in every forward pass, *dense* the "
        "network without masks, in float32 and under bfloat16 autocast.",
        speed_by_machine(machines),
        "## From which sparsity on",
        f"`{VARIANT}` is ahead of a dense network, {_words(TOKENS)} tokens; interpolated between measured sparsities.",
        crossovers_by_machine(machines),
        "## Targets by machine",
        "What sparse compute set out to reach, judged on each machine by itself.",
        targets_by_machine(machines),
        notes,
    ]
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def _words(tokens: str) -> str:
    return tokens.replace("x", " x ")


def _name(results: Sequence[Result]) -> str:
    return results[0].machine


def _link(folder: Path, results: Sequence[Result]) -> str:
    return f"[{_name(results)}]({folder.name}/README.md)"


def _threads(results: Sequence[Result]) -> list[int]:
    return sorted({result.cell.threads for result in results})


def _sentence(machines: Machines) -> str:
    said = []
    for results in machines.values():
        met = [outcome.met for threads in _threads(results) for outcome in outcomes([*results], threads)]
        said.append(f"{_name(results)}: {met.count(True)} of {len(met)} targets met, {met.count(False)} missed")
    return "; ".join(said) + "."


def _by_setting(machines: Machines) -> list[tuple[str, Setting, list[Result]]]:
    """Link, setting and cells of every machine and number of threads, at the tokens of the targets."""
    return [
        (_link(folder, results), setting, of_setting([*results], setting))
        for folder, results in machines.items()
        for setting in settings([*results])
        if setting.tokens == TOKENS
    ]


def speed_by_machine(machines: Machines) -> str:
    """A row a machine, number of threads and rival; a column a sparsity."""
    measured = [
        (link, setting, [each for each in cells if each.cell.width == WIDTH])
        for link, setting, cells in _by_setting(machines)
    ]
    sparsities = sorted({result.cell.sparsity for *_, cells in measured for result in cells})
    rows = []
    for link, setting, cells in measured:
        by_sparsity = {result.cell.sparsity: result for result in cells}
        for rival in RIVALS:
            row = [_ratio(by_sparsity.get(sparsity), rival) for sparsity in sparsities]
            if {*row} != {"-"}:
                rows.append([link, in_words(setting.threads), rival, *row])
    return table(["machine", "threads", "over", *(f"s = {sparsity:g}" for sparsity in sparsities)], rows)


def _ratio(result: Result | None, rival: str) -> str:
    ratio = None if result is None else speed_up(result, VARIANT, rival)
    return "-" if ratio is None else f"{ratio.middle:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def crossovers_by_machine(machines: Machines) -> str:
    """A row a machine, number of threads and dense rival; a column a width."""
    measured = _by_setting(machines)
    widths = sorted({result.cell.width for *_, cells in measured for result in cells})
    rows = []
    for link, setting, cells in measured:
        for rival in RIVALS[1:]:
            row = [_or_dash(crossover(cells, VARIANT, rival, width), where) for width in widths]
            if {*row} != {"-"}:
                rows.append([link, in_words(setting.threads), rival, *row])
    return table(["machine", "threads", "ahead of", *(f"width {width}" for width in widths)], rows)


def _or_dash(crossing: Crossover | None, shown: Callable[[Crossover], str]) -> str:
    return "-" if crossing is None else shown(crossing)


def targets_by_machine(machines: Machines) -> str:
    """A row a target, a column a machine and number of threads."""
    columns = [
        (f"{_link(folder, results)}, {in_words(threads)}", outcomes([*results], threads))
        for folder, results in machines.items()
        for threads in _threads(results)
    ]
    rows = [
        [target.name, f"{target.at_least:g}x", *(verdict(judged[number]) for _, judged in columns)]
        for number, target in enumerate(TARGETS)
    ]
    return table(["target", "at least", *(heading for heading, _ in columns)], rows)
