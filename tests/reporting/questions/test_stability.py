"""Does the optimum stay put? From records to sentence, verdict, tables and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.records import Design, Evaluation, Manifest, RunRecord
from smupar_transfer.records.design import SWEPT_BY_KIND
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of
from smupar_transfer.reporting.questions.stability import summary, verdict
from smupar_transfer.reporting.questions.verdicts import said_of
from smupar_transfer.reporting.registry import kinds
from smupar_transfer.statistics import cells, runs_table, summarise, summarise_families
from smupar_transfer.statistics.drift import Spread
from smupar_transfer.theory import WeightDecayForm

MakeManifest = Callable[..., Manifest]
Parabolas = Callable[..., list[RunRecord]]

MOVING = {("sp", 0.0, 64): -6.0, ("sp", 0.75, 64): -3.0, ("smupar", 0.0, 64): -5.0, ("smupar", 0.75, 64): -4.8}


@pytest.fixture
def outcome(parabolas: Parabolas, make_manifest: MakeManifest) -> Callable[..., Outcome]:
    def of(
        optima: dict[tuple[str, float, int], float], seeds: tuple[int, ...] = (0, 1), top: float = 99.0, **asked: object
    ) -> Outcome:
        records = parabolas(optima, seeds, top)
        return outcome_of(make_manifest(records, **asked), records)

    return of


def has_nan(made: Outcome) -> bool:
    rows = (*made.summary.rows, *(row for table in made.tables for row in table.rows))
    entries = (entry for row in rows for entry in row)
    said = [made.sentence, made.summary.note, *made.notes, *entries]
    return any(re.search(r"\bnan\b", words, re.IGNORECASE) for words in said)


def test_every_kind_has_its_module() -> None:
    assert {*SWEPT_BY_KIND, "train", "tune"} == set(kinds())


def test_the_sentence_is_short_and_says_the_verdict_in_plain_words(outcome: Callable[..., Outcome]) -> None:
    assert outcome(MOVING).sentence == (
        "SμPar's optimal learning rate stays put from sparsity 0 to 0.75: it drifts by 0.20 octaves [0.20, 0.20], "
        "where 0.35 are allowed."
    )


def test_the_summary_has_a_row_a_family_with_the_best_in_bold(outcome: Callable[..., Outcome]) -> None:
    # At the proxy's -5, SP loses 0.1 and 0.4 nats on 2.005 (grid points both), SuPar 0.004 on 2.009.
    made = outcome(MOVING).summary
    assert made.columns == ("", "drift (octaves)", "largest regret", "best loss (nats)", "verdict")
    assert made.rows == (
        ("SP", "3.00 [3.00, 3.00]", "19.95 %", "2.0050", "moves"),
        ("SμPar", "0.20 [0.20, 0.20]", "0.00 %", "2.0090", "stays put"),
    )
    assert made.best == {(1, 1), (1, 2), (0, 3)}
    assert "at sparsity 0.75" in made.note


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("holds", "It stays put here: it drifts by 1, where 0.35 are allowed."),
        (
            "holds by its estimate, not by its interval",
            "It likely stays put here: it drifts by 1, and its interval reaches beyond the 0.35 that are allowed.",
        ),
        ("open", "It is open whether It stays put here: it drifts by 1, where 0.35 are allowed."),
        ("does not hold", "It moves here: it drifts by 1, where 0.35 are allowed."),
    ],
)
def test_every_verdict_has_its_sentence(said: str, sentence: str) -> None:
    assert said_of(said, "It", "here", "it drifts by 1") == sentence


def test_the_worst_family_decides(parabolas: Parabolas, make_manifest: MakeManifest) -> None:
    records = [
        replace(record, key=f"{record.key}{decay}", spec=replace(record.spec, hparams=hparams))
        for decay, moved in ((0.0, -4.9), (0.1, -4.0))
        for record in parabolas({("smupar", 0.0, 64): -5.0, ("smupar", 0.75, 64): moved})
        for hparams in [replace(record.spec.hparams, weight_decay=decay)]
    ]
    made = outcome_of(make_manifest(records), records)
    assert made.verdict == "does not hold"
    assert "moves from sparsity 0 to 0.75: with decay 0.1 it drifts by 1.00 octaves" in made.sentence
    assert [row[-1] for row in made.summary.rows] == ["stays put", "moves"]


@pytest.mark.parametrize(
    ("sparse", "verdict"),
    [(-4.8, "holds"), (-4.0, "does not hold"), (0.0, "does not hold")],
)
def test_the_verdict_is_about_what_the_theory_holds(
    outcome: Callable[..., Outcome], sparse: float, verdict: str
) -> None:
    assert outcome({**MOVING, ("smupar", 0.75, 64): sparse}).verdict == verdict


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        (Spread(0.2, 0.0, 0.3), "holds"),
        (Spread(0.2, 0.0, 0.5), "holds by its estimate, not by its interval"),
        (Spread(0.5, 0.2, 0.8), "open"),
        (Spread(0.8, 0.5, 1.0), "does not hold"),
    ],
)
def test_the_interval_decides(parabolas: Parabolas, drift: Spread, said: str) -> None:
    summaries = summarise_families(summarise(cells(runs_table(parabolas(MOVING)))))
    assert verdict([replace(summary, drift=drift) for summary in summaries]) == said


@pytest.mark.parametrize(("surely", "said"), [(0.2, False), (1.2, True)])
def test_a_drift_that_its_interval_leaves_open_is_explained(parabolas: Parabolas, surely: float, said: bool) -> None:
    summaries = summarise(cells(runs_table(parabolas(MOVING))))
    drifts = [
        replace(family_summary, drift=Spread(1.8, 0.0, 2.2), surely=surely)
        for family_summary in summarise_families(summaries)
    ]
    made = summary(drifts, summaries, Design())
    assert ("or if the intervals of two optima lie farther apart" in made.note) == said
    assert {row[-1] for row in made.rows} == {"moves" if said else "open"}


def test_without_intervals_there_is_no_verdict(outcome: Callable[..., Outcome]) -> None:
    """Guards against calling the noise of one seed a drift, or its absence."""
    for sparse in (-4.8, -4.0):
        assert outcome({**MOVING, ("smupar", 0.75, 64): sparse}, seeds=(0,)).verdict == "open"


def test_without_supar_there_is_no_verdict(outcome: Callable[..., Outcome]) -> None:
    made = outcome({key: value for key, value in MOVING.items() if key[0] == "sp"})
    assert made.verdict == "open"
    assert made.sentence == "No runs here say whether SμPar's optimal learning rate stays put."
    assert made.summary.best == frozenset(), "there is nothing to compare with"


def test_a_lower_bound_is_said_to_be_one(outcome: Callable[..., Outcome]) -> None:
    made = outcome({("sp", 0.0, 64): -6.0, ("sp", 0.75, 64): 0.0})
    assert made.summary.rows[0][1] == "≥ 4.00"
    assert (0, 1) not in made.summary.best, "a bound is not the best"
    drift, summary = made.tables[:2]
    assert drift.rows[0][:2] == ("SP", "≥ 4.00")
    assert summary.rows[1][4] == "edge"


def test_a_rate_at_which_a_cell_diverges_is_said_to_be_lost(outcome: Callable[..., Outcome]) -> None:
    made = outcome({("sp", 0.0, 64): -7.0, ("sp", 0.75, 64): -7.0}, top=-5.5)
    assert made.summary.rows[0][1:3] == ("0.00 [0.00, 0.00]", "diverged")


def test_one_position_has_no_outcome(outcome: Callable[..., Outcome]) -> None:
    made = outcome({("sp", 0.0, 64): -6.0})
    assert made.sentence == "There is no family of runs with two places along sparsity yet."
    assert made.verdict == "open"


def test_a_lost_cell_is_named(parabolas: Parabolas, make_manifest: MakeManifest) -> None:
    records = parabolas(MOVING) + parabolas({("sp", 0.9375, 64): -4.0}, top=-9.0)
    made = outcome_of(make_manifest(records), records)
    assert made.notes == ("No run trained under SP at sparsity 0.9375.",)
    assert made.summary.rows[0][1] == "≥ 3.00 [3.00, 3.00]"
    assert made.summary.rows[0][3] == "diverged", "nothing trained where it is sparsest"
    assert not has_nan(made)


def test_tables_have_a_row_a_family_and_a_row_a_cell(outcome: Callable[..., Outcome]) -> None:
    drift, summary = outcome(MOVING).tables
    assert (drift.name, summary.name) == ("drift", "summary")
    assert drift.rows[0][:6] == ("SP", "3.00", "3.00 to 3.00", "3.00", "-1.50 [-1.50, -1.50]", "19.95 %")
    assert drift.rows[1][:4] == ("SμPar", "0.20", "0.20 to 0.20", "0.20")
    assert summary.rows[1] == (
        *("SP", "0.75", "-3.00", "-3.00 to -3.00", "fit", "2.0050", "0.4000 ± 0.0000", "19.95 %"),
        *("19.95 %", "2"),  # no other parametrization reached less there
    )
    assert summary.rows[3][8] == "0.20 %", "2.009 where SP reached 2.005"
    assert list(drift.frame["family"]) == ["SP", "SμPar"]
    assert len(summary.frame) == 4
    assert all(len(row) == len(table.columns) for table in (drift, summary) for row in table.rows)


def test_along_width_at_two_sparsities_a_family_says_its_sparsity(outcome: Callable[..., Outcome]) -> None:
    positions = {("smupar", sparsity, width): -5.0 for sparsity in (0.5, 0.75) for width in (64, 128)}
    made = outcome(positions, axis="width")
    assert "stays put from width 64 to 128: with s = 0.5 it drifts by 0.00 octaves" in made.sentence
    assert [row[0] for row in made.summary.rows] == ["SμPar, s = 0.5", "SμPar, s = 0.75"]
    assert [row[0] for row in made.tables[0].rows] == ["SμPar, s = 0.5", "SμPar, s = 0.75"]
    assert made.tables[1].columns[1] == "width"


def test_what_all_families_share_is_said_once(outcome: Callable[..., Outcome]) -> None:
    """As in a sweep over sparsity whose proxies are narrower: these are families of one."""
    positions = {(name, sparsity, 256): -5.0 for name in ("sp", "smupar") for sparsity in (0.0, 0.5)}
    made = outcome(positions | {(name, 0.0, 64): -5.0 for name in ("sp", "smupar")})
    assert made.summary.note.endswith("Where nothing else is said: width 256.")
    drift, summary = made.tables
    assert [row[0] for row in drift.rows] == ["SP", "SμPar"]
    assert drift.note.endswith("Where nothing else is said: width 256.")
    assert [row[0] for row in summary.rows] == ["SP, width 64", "SP", "SP", "SμPar, width 64", "SμPar", "SμPar"]


def test_many_families_have_a_row_each(parabolas: Parabolas, make_manifest: MakeManifest) -> None:
    """Guards against a first sentence that names ten of them with their intervals."""
    records = [
        replace(record, key=f"{record.key}{decay}", spec=replace(record.spec, hparams=hparams))
        for decay in (0.0, 0.1, 0.2, 0.3, 0.4)
        for record in parabolas({key: at + (decay if key[1] else 0) for key, at in MOVING.items()})
        for hparams in [replace(record.spec.hparams, weight_decay=decay)]
    ]
    made = outcome_of(make_manifest(records), records)
    assert len(made.sentence) < 200
    assert len(made.summary.rows) == len(made.tables[0].rows) == 10
    assert made.claim.endswith("as in the paper's own figure")


def test_the_claim_leaves_out_coupled_decay(parabolas: Parabolas, make_manifest: MakeManifest) -> None:
    records = []
    for decay in (0.0, 0.1):
        for record in parabolas(MOVING):
            optimizer = replace(record.spec.optimizer, weight_decay_form=WeightDecayForm.COUPLED)
            hparams = replace(record.spec.hparams, weight_decay=decay)
            spec = replace(record.spec, hparams=hparams, optimizer=optimizer)
            records.append(replace(record, key=f"{record.key}{decay}", spec=spec))
    made = outcome_of(make_manifest(records), records)
    assert made.claim.endswith("as in the paper's own figure, unless weight decay is coupled")


def test_what_is_tied_to_the_axis_is_told_with_it(outcome: Callable[..., Outcome]) -> None:
    made = outcome({("smupar", 0.0, 64): -5.0, ("smupar", 0.75, 128): -5.0}, axis="width", tied=("sparsity",))
    assert [row[1] for row in made.tables[1].rows] == ["64, s = 0", "128, s = 0.75"]
    assert made.verdict == "holds"


def test_pictures_are_those_of_the_numbers(outcome: Callable[..., Outcome]) -> None:
    assert [picture.name for picture in outcome(MOVING).pictures] == ["a_sweep", "optimum", "regret"]


@pytest.mark.parametrize(("steps", "drawn"), [((100, 200), []), ((50, 100, 200), ["learning"])])
def test_runs_with_several_validations_have_learning_curves(
    parabolas: Parabolas, make_manifest: MakeManifest, steps: tuple[int, ...], drawn: list[str]
) -> None:
    records = [
        replace(
            record,
            history=tuple(Evaluation(step, None, record.validation_loss, 0.5) for step in steps),
        )
        for record in parabolas(MOVING)
    ]
    made = outcome_of(make_manifest(records), records)
    assert [picture.name for picture in made.pictures] == ["a_sweep", "optimum", "regret", *drawn]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_there_are_no_holes(outcome: Callable[..., Outcome], seeds: tuple[int, ...]) -> None:
    made = outcome(MOVING, seeds=seeds)
    assert not has_nan(made)
    assert made.summary.rows[0][1].startswith("3.00")
