"""The page about a sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.verification import (
    cells,
    drifts,
    outcome_sentence,
    render_sweep_page,
    runs_table,
    summarise,
)
from smupar_transfer.verification.page import percent

MakeRecord = Callable[..., RunRecord]


def sweep(
    make_record: MakeRecord,
    optima: dict[tuple[str, float], float],
    seeds: Sequence[int] = (0, 1),
    top: float = math.inf,
) -> list[RunRecord]:
    """Exact parabolas around ``optima``; rates above ``top`` diverge."""
    return [
        make_record(
            name, sparsity, rate, 2.0 + 0.1 * (rate - optimum) ** 2 + 0.01 * seed if rate <= top else None, seed
        )
        for (name, sparsity), optimum in optima.items()
        for rate in range(-8, -1)
        for seed in seeds
    ]


MOVING = {("sp", 0.0): -6.0, ("sp", 0.75): -3.0, ("smupar", 0.0): -5.0, ("smupar", 0.75): -4.8}


def page_of(records: list[RunRecord], planned: int = 100) -> str:
    manifest = Manifest(
        "a_sweep", "Does it move?", "It does.\n", "smupar sweep a_sweep", tuple(map(str, range(planned)))
    )
    summaries = summarise(cells(runs_table(records)))
    return render_sweep_page(manifest, records, summaries, drifts(summaries))


def sentence_of(records: list[RunRecord]) -> str:
    summaries = summarise(cells(runs_table(records)))
    return outcome_sentence(drifts(summaries), summaries)


def row_of(page: str, *starts: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith("| " + " | ".join(starts) + " |")]
    return [entry.strip() for entry in line.strip("|").split("|")]


def has_nan(text: str) -> bool:
    return re.search(r"\bnan\b", text, re.IGNORECASE) is not None


def test_the_outcome_is_a_sentence_with_numbers(make_record: MakeRecord) -> None:
    # Carried over from -6, SP loses 0.1 * 3**2 on 2.005; SuPar's grid is best at -5 in both cells.
    assert sentence_of(sweep(make_record, MOVING)) == (
        "From sparsity 0 to 0.75 the optimal learning rate moved: SP 3.00 octaves [3.00, 3.00] (regret up to 44.89 %); "
        "SμPar 0.20 octaves [0.20, 0.20] (regret up to 0.00 %)."
    )


def test_a_lower_bound_is_said_to_be_one(make_record: MakeRecord) -> None:
    said = sentence_of(sweep(make_record, {("sp", 0.0): -6.0, ("sp", 0.75): 0.0}))
    assert "SP at least 4.00 octaves" in said


def test_a_lost_rate_is_said_to_be_lost(make_record: MakeRecord) -> None:
    dense = sweep(make_record, {("sp", 0.0): -4.0})
    sparse = sweep(make_record, {("sp", 0.75): -6.0}, top=-5.0)
    assert "SP 2.00 octaves [2.00, 2.00] (regret up to diverged)" in sentence_of(dense + sparse)


def test_one_sparsity_has_no_outcome(make_record: MakeRecord) -> None:
    assert (
        sentence_of(sweep(make_record, {("sp", 0.0): -6.0})) == "There is no parametrization with two sparsities yet."
    )


def test_a_sentence_has_no_holes_where_a_cell_was_lost(make_record: MakeRecord) -> None:
    lost = sweep(make_record, {("sp", 0.9375): -4.0}, top=-9.0)
    said = sentence_of(sweep(make_record, MOVING) + lost)
    assert "SP at least 3.00 octaves" in said
    assert not has_nan(said)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0.00 %"), (12.346, "12.35 %"), (-0.5, "-0.50 %"), (math.inf, "diverged")]
)
def test_percentages(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_the_page_says_what_was_asked_and_what_came_out(make_record: MakeRecord) -> None:
    records = sweep(make_record, MOVING)
    page = page_of(records)
    assert page.startswith("# a_sweep\n\n**Does it move?** From sparsity 0 to 0.75")
    assert sentence_of(records) in page
    assert "Expected beforehand: It does.\n" in page
    assert "![Loss against learning rate](a_sweep.png)" in page
    assert not has_nan(page)
    assert page.endswith("\n")


def test_the_page_has_a_row_a_drift(make_record: MakeRecord) -> None:
    page = page_of(sweep(make_record, MOVING))
    assert row_of(page, "SP", "64", "3.00") == ["SP", "64", "3.00", "3.00 to 3.00", "-1.50", "44.89 %", "-"]
    assert row_of(page, "SμPar", "64", "0.20") == ["SμPar", "64", "0.20", "0.20 to 0.20", "-0.10", "0.00 %", "-"]


def test_the_page_has_a_row_a_cell(make_record: MakeRecord) -> None:
    page = page_of(sweep(make_record, MOVING))
    found = row_of(page, "SP", "64", "0.75")
    assert found == [
        "SP",
        "64",
        "0.75",
        "-3.00",
        "-3.00 to -3.00",
        "fit",
        "2.0050",
        "0.9000 ± 0.0000",
        "44.89 %",
        "-",
        "-",
    ]
    assert row_of(page, "SμPar", "64", "0")[3:6] == ["-5.00", "-5.00 to -5.00", "fit"]


def test_a_bound_is_marked_in_the_table(make_record: MakeRecord) -> None:
    page = page_of(sweep(make_record, {("sp", 0.0): -6.0, ("sp", 0.75): 0.0}))
    assert row_of(page, "SP", "64", "≥ 4.00")[2] == "≥ 4.00"
    assert row_of(page, "SP", "64", "0.75")[5] == "edge"


def test_the_page_says_how_it_was_made(make_record: MakeRecord) -> None:
    page = page_of(sweep(make_record, MOVING, top=-3.0))
    assert "Command: `smupar sweep a_sweep`; draw again with `smupar plot a_sweep`." in page
    # 4 cells, 7 rates, 2 seeds of 18 s each; the highest rate diverged everywhere
    assert "56 runs of 100 planned, 8 diverged; 0.28 hours of training in all, median 18.0 s a run" in page
    assert "204,800 tokens a run, seeds 0, 1." in page
    assert "learning_rate swept, init_std 0.125, input_multiplier 1, output_multiplier 1.75, weight_decay 0" in page
    assert f"Data: `python`, sha256 `{'ab' * 32}`." in page
    assert "Machine: a processor, 1 thread(s) a run; python 3.11, torch 2.13." in page
    assert "Fewest non-zero weights per neuron: 16." in page


@pytest.mark.parametrize("case", ["one seed", "one cell", "a lost cell", "one run"])
def test_a_page_has_no_holes(make_record: MakeRecord, case: str) -> None:
    records = {
        "one seed": sweep(make_record, MOVING, seeds=[0]),
        "one cell": sweep(make_record, {("sp", 0.0): -6.0}),
        "a lost cell": sweep(make_record, MOVING) + sweep(make_record, {("sp", 0.9375): -4.0}, top=-9.0),
        "one run": [make_record()],
    }[case]
    page = page_of(records)
    assert "## Optimum of every cell" in page
    assert not has_nan(page)
