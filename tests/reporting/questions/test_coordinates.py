"""The outcome of a coordinate check: sentence, verdict, tables, page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.records import CoordinateRecord, Manifest
from smupar_transfer.reporting.outcome import Outcome, Table
from smupar_transfer.reporting.questions import outcome_of_check as outcome
from smupar_transfer.reporting.questions.coordinates import sentence, summary
from smupar_transfer.statistics.coordinate_slopes import Verdict
from smupar_transfer.statistics.coordinate_verdicts import judge
from smupar_transfer.theory import PARAMETRIZATIONS

MakeCheck = Callable[..., CoordinateRecord]

Powers = tuple[float, float, float]
AS_THEORY: dict[str, Powers] = {"mup": (0.5, 0.5, 1.0), "smupar": (0.0, 0.0, 0.0)}
MANIFEST = Manifest(
    "a_check", "Do they?", "They do.\n", "smupar coordinates a_check", ("k",) * 20, kind="coordinates", axis="sparsity"
)


def checks(make_check: MakeCheck, powers: dict[str, Powers], seeds: int = 3) -> list[CoordinateRecord]:
    return [
        make_check(name, sparsity, seed=seed, powers=exponents, noise=0.01 * seed)
        for name, exponents in powers.items()
        for sparsity in (0.0, 0.5, 0.75)
        for seed in range(seeds)
    ]


def table_of(result: Outcome, name: str) -> Table:
    (table,) = [table for table in result.tables if table.name == name]
    return table


def test_the_sentence_says_the_verdict_and_the_summary_what_drifts_most_and_where(make_check: MakeCheck) -> None:
    result = outcome(MANIFEST, checks(make_check, AS_THEORY))
    assert result.sentence == (
        "Across density the sizes of activations, gradients and updates stay put under SμPar and drift under μP, as "
        "theory predicts."
    )
    assert result.sentence == sentence(judge(checks(make_check, AS_THEORY), "sparsity"), "sparsity")
    assert result.summary.rows == (
        ("μP", "+0.51 [0.49, 0.53]", "activation", "mlp.up", "start", "drifts", "drifts"),
        ("SμPar", "+0.01 [-0.01, 0.03]", "activation", "mlp.up", "start", "stays put", "stays put"),
    )
    assert result.summary.best == {(0, 6), (1, 6)}
    assert result.verdict == "holds"
    assert result.notes == ()


@pytest.mark.parametrize(
    ("powers", "seeds", "verdict"),
    [
        pytest.param({"mup": (0.0, 0.0, 0.0)}, 3, "does not hold", id="a control that does not fail"),
        pytest.param({"smupar": (0.5, 0.5, 1.0)}, 3, "does not hold", id="a rule that is not applied"),
        pytest.param(AS_THEORY, 1, "open", id="one seed"),
    ],
)
def test_what_is_not_as_expected_is_said(
    make_check: MakeCheck, powers: dict[str, Powers], seeds: int, verdict: str
) -> None:
    made = outcome(MANIFEST, checks(make_check, powers, seeds))
    assert made.verdict == verdict
    said = {"does not hold": "which is not what theory predicts", "open": "the prediction of theory is not settled"}
    assert said[verdict] in made.sentence


def test_what_is_open_hides_no_refutation(make_check: MakeCheck) -> None:
    """SuPar drifts for sure, SP has one seed."""
    records = checks(make_check, {"smupar": (0.5, 0.5, 1.0)}) + checks(make_check, {"sp": (0.5, 0.5, 1.0)}, seeds=1)
    assert outcome(MANIFEST, records).verdict == "does not hold"


def test_where_theory_predicts_nothing_nothing_is_held_against_it(make_check: MakeCheck) -> None:
    """Theory says nothing of some update rules: what such a check finds is no refutation, and no confirmation."""
    for powers in AS_THEORY.values():
        (item,) = judge(checks(make_check, {"smupar": powers}), "sparsity")
        unknown = replace(item, expected=Verdict.OPEN)
        assert item.verdict is not Verdict.OPEN
        assert sentence([unknown], "sparsity").endswith("so that the prediction of theory is not settled.")
        assert summary([unknown], "sparsity").best == frozenset()
    (undecided,) = judge(checks(make_check, {"smupar": (0.0, 0.0, 0.0)}, seeds=1), "sparsity")
    assert summary([replace(undecided, expected=Verdict.OPEN)], "sparsity").best == frozenset()


def test_notes_name_what_departs_from_theory(make_check: MakeCheck) -> None:
    notes = outcome(MANIFEST, checks(make_check, {"smupar": (0.5, 0.0, 0.0)})).notes
    assert notes == tuple(
        f"SμPar is not as theory predicts: the activation in {layer} at the start has a slope of +0.51 [0.49, 0.53], "
        "where theory predicts +0 and -0.1 to +0.1 is allowed around it."
        for layer in ("mlp.up", "mlp.down")
    )


def test_notes_tell_of_lost_runs_and_of_missing_intervals(make_check: MakeCheck) -> None:
    records = checks(make_check, AS_THEORY)
    lost = replace(records[0], losses=records[0].losses[:1])
    assert outcome(MANIFEST, [lost, *records[1:]]).notes[0].startswith("1 of 18 runs diverged")
    assert any("fewer than two seeds" in note for note in outcome(MANIFEST, checks(make_check, AS_THEORY, 1)).notes)


def test_added_seeds_are_told_and_widen_the_intervals_of_their_parametrization(make_check: MakeCheck) -> None:
    records = checks(make_check, AS_THEORY)
    plain = table_of(outcome(MANIFEST, records), "slopes").frame
    extended = outcome(replace(MANIFEST, added_seeds={"smupar": (1, 2)}), records)
    wider = table_of(extended, "slopes").frame
    added = plain["parametrization"] == "smupar"
    assert (wider["high"] - wider["low"] > plain["high"] - plain["low"]).equals(added)
    assert extended.notes[0].startswith("SμPar was open with the seeds of the file: 1 and 2 were added")


def test_the_table_of_slopes_has_a_row_a_layer_in_the_file_and_a_row_a_size_for_people(make_check: MakeCheck) -> None:
    table = table_of(outcome(MANIFEST, checks(make_check, AS_THEORY)), "slopes")
    assert len(table.frame) == 2 * 5 * 2
    assert len(table.rows) == 2 * 5
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[0] == (
        *("μP", "activation", "start", "+0.51", "[0.49, 0.53]", "+0.51", "+0.51", "+0.5", "-0.1 to +0.1", "0 of 2"),
    )
    assert table.rows[8] == (
        *("SμPar", "activation", "end", "+0.01", "[-0.01, 0.03]", "+0.01", "+0.01", "-", "-0.6 to +0.25", "2 of 2"),
    )
    first = table.frame.iloc[0]
    assert (first["slope"], first["predicted"], first["seeds"]) == (pytest.approx(0.51), 0.5, 3)
    assert (first["verdict"], first["agreement"]) == ("drifts", "stays put")


def test_the_other_tables(make_check: MakeCheck) -> None:
    result = outcome(MANIFEST, checks(make_check, AS_THEORY))
    summary = table_of(result, "summary")
    assert list(summary.frame["verdict"]) == list(summary.frame["expected"]) == ["drifts", "stays put"]
    assert table_of(result, "gaps").rows == (("SμPar", "μP", "+1.00", "[1.00, 1.00]", "+1.00", "+1.00", "+1"),)
    alone = outcome(MANIFEST, checks(make_check, {"smupar": (0.0, 0.0, 0.0)}))
    assert table_of(alone, "gaps").rows == ()
    assert list(table_of(alone, "gaps").frame.columns) == list(table_of(result, "gaps").frame.columns)


def test_every_table_can_be_a_file_of_its_own(make_check: MakeCheck) -> None:
    result = outcome(MANIFEST, checks(make_check, dict.fromkeys(PARAMETRIZATIONS, (0.0, 0.0, 0.0))))
    names = [table.name for table in result.tables] + [picture.name for picture in result.pictures]
    assert names == ["summary", "slopes", "gaps", "a_check", "steps"]
    assert list(table_of(result, "summary").frame["parametrization"]) == list(PARAMETRIZATIONS)
