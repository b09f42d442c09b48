from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace

from bench.cells import Cell, Result
from bench.page import (
    crossover_table,
    flags,
    memory_table,
    page,
    sentence,
    speed_table,
    split_section,
    spreadsheet,
    table,
)

Make = Callable[..., Result]


def _rows(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_page_holds_numbers_notes_and_figures(results: list[Result]) -> None:
    text = page(results, "python x.py", "## Limits\n\nNone.", "## One layer\n")
    assert text.startswith(
        "# bench_sparse on a machine\n\n**Does a training step cost what its density says?** At width 1024"
    )
    for piece in (
        "a machine; python 3, torch 2",
        "`python x.py`",
        "Every cell here holds what `--variants dense dense_bf16 csr auto` asks for.",
        "| target | at least | 1 thread |",
        "## Limits\n\nNone.\n\n## 4 x 256 tokens, 1 thread\n",
        "(speed_up_4x256_1.svg)",
        "(split_4x256_1.svg)",
        "1.75x, **missed**",
        "62.50x, met",
        "between 1.00 and 1.00 times",
    ):
        assert piece in text
    assert text.endswith("## One layer\n")
    assert "\n\n\n" not in text


def test_sentence_counts_targets(results: list[Result]) -> None:
    said = sentence(results)
    assert "`auto` trains as fast as the textbook way times 1.8x (s = 0.5), 2.5x (s = 0.75)" in said
    assert said.endswith("Targets met: 3 of 12; missed: 5; not measured: 4.")


def test_sentence_without_a_sparse_variant(results: list[Result]) -> None:
    only = [replace(each, variants={"textbook": each.variants["textbook"]}) for each in results]
    assert sentence(only).startswith("Targets met: 0 of 12")


def test_speed_table_has_a_row_a_cell(results: list[Result], make_result: Make) -> None:
    header, _, *rows = _rows(speed_table(results))
    assert header == ["width", "s", "textbook, ms a step", "dense", "dense_bf16", "csr", "auto", "auto over dense_bf16"]
    assert rows[-1][:2] == ["1024", "0.984"]
    assert rows[-1][2] == "2,190 (2,080-2,300)"
    assert rows[-1][-1] == "3.74 (3.74-3.74)"
    partial = make_result(Cell(2048, 0.5, 4, 256, 1), {"textbook": 1.0, "auto": 1.0})
    assert _rows(speed_table([*results, partial]))[-1][3:6] == ["-"] * 3


def test_crossover_table_says_where(results: list[Result]) -> None:
    header, _, *rows = _rows(crossover_table(results))
    assert header == ["ahead from", "width 1024"]
    assert dict(rows) == {
        "`csr` over dense": "s = 0.89",
        "`auto` over dense": "at most s = 0.5",
        "`csr` over dense_bf16": "s = 0.96",
        "`auto` over dense_bf16": "s = 0.68",
    }
    assert ["`csr` over dense", "never"] in _rows(crossover_table(results[:2]))


def test_memory_table_compares_with_the_textbook_way(results: list[Result]) -> None:
    header, _, *rows = _rows(memory_table(results))
    assert rows[-1][header.index("auto")] == "100 (1.6%)"
    assert rows[-1][header.index("dense")] == "100 (100.0%)"


def test_peaks_say_what_they_include(results: list[Result]) -> None:
    def of_training(result: Result) -> Result:
        return replace(
            result, variants={name: replace(each, peak_of_training=True) for name, each in result.variants.items()}
        )

    first, *others = results
    assert "\nPeaks include building the network" in memory_table(results)
    assert "\nSome peaks include building the network" in memory_table([first, *map(of_training, others)])
    assert "\nPeaks are those of training.\n" in memory_table([*map(of_training, results)])


def test_only_what_every_cell_holds_is_said_to_be_skipped(results: list[Result], make_result: Make) -> None:
    partial = make_result(Cell(2048, 0.5, 4, 256, 1), {"textbook": 1.0, "auto": 1.0})
    assert "Every cell here holds what `--variants auto` asks for." in flags([*results, partial])
    bare = make_result(Cell(2048, 0.5, 4, 256, 1), {"textbook": 1.0})
    assert flags([*results, bare]).endswith("all of its variants in one run.")


def test_split_shows_dense_ways_once_a_width(results: list[Result]) -> None:
    rows = _rows(split_section(results))[2:]
    assert [row[1:3] for row in rows] == [
        ["any", "textbook"],
        ["any", "dense_bf16"],
        *([sparsity, "auto"] for sparsity in ("0.5", "0.75", "0.875", "0.984")),
    ]
    assert rows[0][3] == "78.2 (4%)"


def test_spreadsheet_has_a_row_a_variant(results: list[Result]) -> None:
    rows = list(csv.DictReader(io.StringIO(spreadsheet(results))))
    assert len(rows) == len(results) * 5
    last = rows[-1]
    assert (last["variant"], last["sparsity"], last["over_textbook"]) == ("auto", "0.984", "8.359")
    assert last["turns"] == "3"
    assert float(last["tokens_per_second"]) == round(1024 / 0.262, 1)
