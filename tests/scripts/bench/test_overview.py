from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.cells import Cell, Result
from bench.overview import crossovers_by_machine, overview, speed_by_machine, targets_by_machine

Make = Callable[..., Result]


def _rows(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def machines(results: list[Result]) -> dict[Path, list[Result]]:
    """The machine of the fixture, and another on which dense bfloat16 takes half the time."""
    faster = []
    for result in results:
        rival = result.variants["dense_bf16"]
        rival = replace(rival, seconds=tuple(taken / 2 for taken in rival.seconds))
        faster.append(replace(result, machine="another", variants={**result.variants, "dense_bf16": rival}))
    return {Path("root/a_machine"): results, Path("root/another"): faster}


def test_every_machine_is_judged_by_itself(results: list[Result]) -> None:
    text = overview(machines(results), "python x.py", "## Notes\n\nNone.")
    assert "a machine: 3 of 12 targets met, 5 missed; another: 2 of 12 targets met, 6 missed." in text
    assert "[a machine](a_machine/README.md), [another](another/README.md)" in text
    assert "`python x.py` adds the machine" in text
    assert text.endswith("## Notes\n\nNone.\n")
    assert "\n\n\n" not in text
    header, _, *rows = _rows(targets_by_machine(machines(results)))
    assert header[2:] == ["[a machine](a_machine/README.md), 1 thread", "[another](another/README.md), 1 thread"]
    judged = {row[0]: row[2:] for row in rows}
    assert judged["`auto` over textbook, width 1024, s = 0.5"] == ["1.75x, **missed**"] * 2
    assert judged["`auto` over dense bf16, slowest from s = 0.75 on"] == ["1.14x, met", "0.57x, **missed**"]


def test_speeds_stand_under_each_other(results: list[Result]) -> None:
    header, _, *rows = _rows(speed_by_machine(machines(results)))
    assert header == ["machine", "threads", "over", "s = 0.5", "s = 0.75", "s = 0.875", "s = 0.984"]
    assert [row[2] for row in rows] == ["textbook", "dense", "dense_bf16"] * 2
    assert [row[-1] for row in rows if row[2] == "dense_bf16"] == ["3.74 (3.74-3.74)", "1.87 (1.87-1.87)"]


def test_crossovers_stand_under_each_other(results: list[Result]) -> None:
    header, _, *rows = _rows(crossovers_by_machine(machines(results)))
    assert header == ["machine", "threads", "ahead of", "width 1024"]
    assert [row[2:] for row in rows] == [
        ["dense", "at most s = 0.5"],
        ["dense_bf16", "s = 0.68"],
        ["dense", "at most s = 0.5"],
        ["dense_bf16", "s = 0.87"],
    ]


def test_what_a_machine_lacks_is_a_dash_or_left_out(results: list[Result], make_result: Make) -> None:
    partial = make_result(Cell(1024, 0.25, 4, 256, 1), {"textbook": 1.0, "auto": 0.5})
    only = {Path("root/a_machine"): results, Path("root/b"): [replace(partial, machine="b")]}
    rows = [row for row in _rows(speed_by_machine(only)) if row[0].startswith("[b]")]
    assert rows == [["[b](b/README.md)", "1 thread", "textbook", "2.00 (2.00-2.00)", "-", "-", "-", "-"]]
    assert not [row for row in _rows(crossovers_by_machine(only)) if row[0].startswith("[b]")]
    other = make_result(Cell(512, 0.5, 1, 256, 1), {"textbook": 1.0, "auto": 0.5})
    assert _rows(speed_by_machine({Path("root/c"): [other]}))[2:] == []
