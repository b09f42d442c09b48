"""The page of a benchmark: every number from the measurements, so that page and numbers cannot disagree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from bench.cells import Result
from bench.numbers import (
    RIVALS,
    Crossover,
    Setting,
    Spread,
    crossovers,
    in_words,
    milliseconds,
    of_setting,
    part_milliseconds,
    settings,
    shares,
    sparse_variant,
    speed_up,
    state_ratio,
    tokens_per_second,
    variants,
    widths,
)
from bench.parts import PARTS
from bench.targets import TOKENS, Outcome, outcomes

MIB = 2**20

HOW = """\
A 2-layer GPT (byte vocabulary, heads of 64 channels, learned positions) trains on random tokens: forward, backward,
clipping, AdamW. *textbook* is `weight * mask` through `torch.nn.utils.parametrize` in every forward pass with
PyTorch's AdamW as it comes; *dense* is the same network without masks; *dense_bf16* is that under `torch.autocast`; the
others are compute backends of `SparseLinear`. Attention and GELU are part of every step: *auto* and *native* include
the package's C++ for both; *dense_bf16* has PyTorch's fused attention, all others blocks of queries made of PyTorch's
batched products (faster than that in float32), and GELU is PyTorch's. Each variant lives in a process of its own, and
the processes take turns in alternating order, so that the machine's moods hit all alike. A turn is a second of
training, two steps at least; it counts with the median of its steps but the first, which finds caches as others left
them. Speed-ups are medians of the ratios of turns of the same round, with quartiles in brackets. Raw seconds of every
turn are in [cells.jsonl](cells.jsonl), all numbers in [cells.csv](cells.csv).
"""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(results: list[Result], command: str, notes: str, layer: str) -> str:
    """README of a machine's folder.

    Args:
        results: at least one cell, all of that machine.
        command: that measured them.
        notes: what a person has to say, Markdown; may be empty.
        layer: sections on one layer by itself and on training curves, Markdown; may be empty.
    """
    versions = ", ".join(f"{name} {version}" for name, version in results[0].versions.items())
    sections = [
        f"# bench_sparse on {results[0].machine}",
        f"**Does a training step cost what its density says?** {sentence(results)}",
        HOW,
        f"Machine: {results[0].machine}; {versions}. Command: `{command}`. {flags(results)}",
        "## Targets",
        targets_table(results),
        notes,
        *(_setting_section(of_setting(results, setting), setting) for setting in settings(results)),
        "## Memory",
        memory_table(results),
        "## Where the time of a step goes",
        split_section(results),
        layer,
    ]
    return "\n\n".join(section.strip() for section in sections if section.strip()) + "\n"


def flags(results: list[Result]) -> str:
    """How a person measures other cells, and what is measured anew."""
    shared = [name for name in variants(results) if all(name in result.variants for result in results)]
    asked = " ".join(name for name in shared if name != "textbook")
    said = "`--widths`, `--sparsities`, `--tokens` and `--threads` choose cells, `--variants` what is measured in them "
    said += "beside the textbook way: everything, if left out. A cell that holds all that is asked for is skipped, any "
    said += "other is measured anew, all of its variants in one run."
    return said + (f" Every cell here holds what `--variants {asked}` asks for." if asked else "")


def sentence(results: list[Result]) -> str:
    """The outcome: how much faster the sparse variant is, and how many targets are met."""
    name = sparse_variant(results)
    said = ""
    if name is not None:
        chosen = Setting(TOKENS, 1) if Setting(TOKENS, 1) in settings(results) else settings(results)[0]
        of_widest = [each for each in of_setting(results, chosen) if each.cell.width == _headline(results, chosen)]
        ratios = [(each.cell, speed_up(each, name, "textbook")) for each in of_widest]
        faster = ", ".join(f"{ratio.middle:.1f}x (s = {cell.sparsity:g})" for cell, ratio in ratios if ratio)
        said = f"At width {of_widest[0].cell.width}, {_title(chosen)}, `{name}` trains as fast as the textbook way "
        said += f"times {faster}. "
    met = [outcome.met for threads in _threads(results) for outcome in outcomes(results, threads)]
    missing = f"; not measured: {met.count(None)}" if None in met else ""
    return f"{said}Targets met: {met.count(True)} of {len(met)}; missed: {met.count(False)}{missing}."


def _headline(results: list[Result], setting: Setting) -> int:
    widths = [each.cell.width for each in of_setting(results, setting)]
    return 1024 if 1024 in widths else max(widths)


def _threads(results: list[Result]) -> list[int]:
    return sorted({result.cell.threads for result in results})


def _title(setting: Setting) -> str:
    return f"{setting.tokens.replace('x', ' x ')} tokens, {in_words(setting.threads)}"


def targets_table(results: list[Result]) -> str:
    """Every target beside what was measured, the worst cell where a target speaks of several."""
    by_threads = [outcomes(results, threads) for threads in _threads(results)]
    rows = [
        [row[0].target.name, f"{row[0].target.at_least:g}x", *map(verdict, row)]
        for row in zip(*by_threads, strict=True)
    ]
    return table(["target", "at least", *map(in_words, _threads(results))], rows)


def verdict(outcome: Outcome) -> str:
    """What was measured of a target, and whether that is enough."""
    if outcome.measured is None:
        return "not measured"
    return f"{outcome.measured:.2f}x, {'met' if outcome.met else '**missed**'}"


def _setting_section(results: list[Result], setting: Setting) -> str:
    stem = stem_of(setting)
    figures = [f"![Speed-up over the textbook way against sparsity](speed_up_{stem}.svg)"]
    if sparse_variant(results):
        figures.append(f"![Parts of a step](split_{stem}.svg)")
    pieces = [f"## {_title(setting)}", *figures, speed_table(results), crossover_table(results)]
    return "\n\n".join(piece.strip() for piece in pieces)


def stem_of(setting: Setting) -> str:
    """Of the names of a setting's figures."""
    return f"{setting.tokens}_{setting.threads}"


def speed_table(results: list[Result]) -> str:
    """A row a cell: milliseconds of the textbook way, and how many times as fast the others are."""
    names = [name for name in variants(results) if name != "textbook"]
    sparse = sparse_variant(results)
    rows = []
    for result in results:
        row = [
            str(result.cell.width),
            f"{result.cell.sparsity:g}",
            _spread(milliseconds(result.variants["textbook"]), 0),
        ]
        row += [_times(speed_up(result, name, "textbook")) for name in names]
        rows.append(row + ([_times(speed_up(result, sparse, "dense_bf16"))] if sparse else []))
    last = [f"{sparse} over dense_bf16"] if sparse else []
    return table(["width", "s", "textbook, ms a step", *names, *last], rows)


def _spread(spread: Spread, digits: int = 2) -> str:
    return f"{spread.middle:,.{digits}f} ({spread.low:,.{digits}f}-{spread.high:,.{digits}f})"


def _times(spread: Spread | None) -> str:
    return "-" if spread is None else _spread(spread)


def crossover_table(results: list[Result]) -> str:
    """From which sparsity on each variant is ahead of each dense rival; a column a width."""
    sparsities = {(each.variant, each.rival, each.width): where(each) for each in crossovers(results)}
    pairs = dict.fromkeys((variant, rival) for variant, rival, _ in sparsities)
    across = widths(results)
    rows = [
        [f"`{variant}` over {rival}", *(sparsities.get((variant, rival, width), "-") for width in across)]
        for variant, rival in pairs
    ]
    return table(["ahead from", *(f"width {width}" for width in across)], rows) if rows else ""


def where(crossover: Crossover) -> str:
    """From which sparsity on."""
    if crossover.sparsity is None:
        return "never"
    return f"at most s = {crossover.sparsity:g}" if crossover.is_bound else f"s = {crossover.sparsity:.2f}"


def memory_table(results: list[Result]) -> str:
    """Peak and state of every variant, at the setting of the targets or the first."""
    chosen = _main_setting(results)
    names = variants(results)
    rows = []
    for result in of_setting(results, chosen):
        row = [str(result.cell.width), f"{result.cell.sparsity:g}"]
        state = result.variants["textbook"].state.total
        row += [f"{state / MIB:,.1f}", *(_memory(result, name) for name in names)]
        rows.append(row)
    note = (
        f"Peak memory of a process in MiB, beyond what it had before it built its network ({_title(chosen)}), and in\n"
        "brackets the state of the sparsified layers as a part of the textbook way's: parameters, gradients, AdamW's\n"
        "moments, masks and indices, for the textbook way also the product `weight * mask` that it keeps.\n"
        f"{_of_peaks(of_setting(results, chosen))}\n\n"
    )
    return note + table(["width", "s", "textbook state, MiB", *names], rows)


def _of_peaks(results: list[Result]) -> str:
    """What they include."""
    kinds = {measured.peak_of_training for result in results for measured in result.variants.values()}
    if False not in kinds:
        return "Peaks are those of training."
    some = "Some peaks" if True in kinds else "Peaks"
    return f"{some} include building the network and, for `auto`, measuring its layers where the cache lacked them."


def _memory(result: Result, name: str) -> str:
    ratio = state_ratio(result, name)
    return "-" if ratio is None else f"{result.variants[name].peak_bytes / MIB:,.0f} ({1 / ratio:.1%})"


def _main_setting(results: list[Result]) -> Setting:
    return next((each for each in settings(results) if each.tokens == TOKENS), settings(results)[0])


def split_section(results: list[Result]) -> str:
    """Milliseconds of each part of a step: of the sparse variant in every cell, of dense ways once a width."""
    chosen = _main_setting(results)
    sparse = sparse_variant(results)
    rows: dict[tuple[int, str, str], list[str]] = {}
    sums: list[float] = []
    for result in of_setting(results, chosen):
        for name in (name for name in ("textbook", "dense_bf16", sparse) if name in result.variants):
            sparsity = f"{result.cell.sparsity:g}" if name == sparse else "any"
            measured = result.variants[name]
            parts = [f"{part_milliseconds(measured)[part]:,.1f} ({shares(measured)[part]:.0%})" for part in PARTS]
            sums.append(1e3 * sum(measured.split.values()) / milliseconds(measured).middle)
            label = (result.cell.width, sparsity, name)
            rows.setdefault(label, [*map(str, label), *parts])
    note = (
        f"Milliseconds (and share) of the median step, {_title(chosen)}; forward and backward pass together.\n"
        "Shares, here and in all figures, are those of steps with clocks in them, taken once after the turns; here\n"
        f"such steps took between {min(sums):.2f} and {max(sums):.2f} times as long.\n\n"
    )
    return note + table(["width", "s", "variant", *PARTS], rows.values())


def spreadsheet(results: list[Result]) -> str:
    """A row a cell and variant, CSV."""
    rows = []
    for setting in settings(results):
        for result in of_setting(results, setting):
            for name, measured in result.variants.items():
                taken, state = milliseconds(measured), measured.state
                row = {
                    **vars(result.cell),
                    "variant": name,
                    "turns": len(measured.seconds),
                    "tokens_per_second": round(tokens_per_second(result, name), 1),
                    **_columns("ms", taken),
                    **_columns("over_textbook", speed_up(result, name, "textbook")),
                    **_columns("over_dense_bf16", speed_up(result, name, RIVALS[1])),
                    "peak_bytes": measured.peak_bytes,
                    **{f"state_{part}": size for part, size in vars(state).items()},
                    **{f"seconds_{part}": f"{seconds:.6f}" for part, seconds in measured.split.items()},
                }
                rows.append(row)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _columns(name: str, spread: Spread | None) -> dict[str, str]:
    low, middle, high = ("", "", "") if spread is None else (f"{each:.4g}" for each in vars(spread).values())
    return {name: middle, f"{name}_low": low, f"{name}_high": high}
