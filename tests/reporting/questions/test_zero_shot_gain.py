"""What do transferred hyperparameters gain without any tuning?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of

MakeRecord = Callable[..., RunRecord]
SPREAD = (0.0, 0.01, 0.03)  # of seeds, the same for all: differences are exact


@pytest.fixture
def outcome(make_record: MakeRecord, make_manifest: Callable[..., Manifest]) -> Callable[..., Outcome]:
    """Of losses by (parametrization, sparsity); SP has a learning rate of its own."""

    def of(losses: dict[tuple[str, float], float | None], reference: str | None = "sp") -> Outcome:
        records = [
            make_record(name, sparsity, -9.5 if name == "sp" else -6.8, None if loss is None else loss + extra, seed)
            for (name, sparsity), loss in losses.items()
            for seed, extra in enumerate(SPREAD)
        ]
        return outcome_of(make_manifest(records, kind="gain", reference=reference), records)

    return of


DENSE: dict[tuple[str, float], float | None] = {("sp", 0.0): 2.0, ("mup", 0.0): 1.9, ("smupar", 0.0): 1.9}
SPARSE: dict[tuple[str, float], float | None] = {("sp", 0.75): 2.2, ("mup", 0.75): 2.31, ("smupar", 0.75): 1.98}


def test_the_sentence_is_about_the_sparsest_position(outcome: Callable[..., Outcome]) -> None:
    # over the mean of SP, 2.2133
    assert outcome({**DENSE, **SPARSE}).sentence == (
        "Without any tuning SμPar reaches a lower loss than SP at every sparsity: at sparsity 0.75 it has 9.9 % less "
        "loss [9.9, 9.9]."
    )


def test_the_summary_has_a_row_a_family(outcome: Callable[..., Outcome]) -> None:
    made = outcome({**DENSE, **SPARSE}).summary
    assert made.columns == ("", "sparsity", "loss (nats)", "difference to SP (%)", "verdict")
    assert made.rows == (
        ("SP", "0.75", "2.2133", "-", "reference"),
        ("μP", "0.75", "2.3233", "+5.0 [5.0, 5.0]", "lower at 0, higher at 1 of 1 sparse places"),
        ("SμPar", "0.75", "1.9933", "-9.9 [-9.9, -9.9]", "lower at 1, higher at 0 of 1 sparse places"),
    )
    assert made.best == {(2, 2)}


def test_the_verdict_is_about_supar_where_weights_are_sparse(outcome: Callable[..., Outcome]) -> None:
    assert outcome({**DENSE, **SPARSE}).verdict == "holds"
    assert outcome({**DENSE, **SPARSE, ("smupar", 0.75): 2.3}).verdict == "does not hold"
    assert outcome({**DENSE, **SPARSE, ("smupar", 0.75): 2.2}).verdict == "open"
    assert outcome(DENSE).verdict == "open"


def test_a_difference_within_the_noise_settles_nothing(
    make_record: MakeRecord, make_manifest: Callable[..., Manifest]
) -> None:
    records = [
        make_record(name, 0.75, rate, loss, seed)
        for name, rate, losses in (("sp", -9.5, (2.0, 2.1, 2.2)), ("smupar", -6.8, (2.05, 1.9, 2.25)))
        for seed, loss in enumerate(losses)
    ]
    made = outcome_of(make_manifest(records, kind="gain", reference="sp"), records)
    assert made.sentence.startswith("It is open whether SμPar, without any tuning, reaches a lower loss than SP")
    assert "it has 1.6 % less loss [-" in made.sentence
    assert made.verdict == "open"


@pytest.mark.parametrize(
    ("lost", "said", "verdict"),
    [
        ("sp", "it trains where the reference diverges", "holds"),
        ("smupar", "it diverges", "does not hold"),
    ],
)
def test_divergence_counts(outcome: Callable[..., Outcome], lost: str, said: str, verdict: str) -> None:
    made = outcome({**DENSE, **SPARSE, (lost, 0.75): None})
    assert said in made.sentence
    assert made.verdict == verdict


def test_without_the_reference_there_is_nothing_to_compare(outcome: Callable[..., Outcome]) -> None:
    made = outcome({("smupar", 0.0): 2.0})
    assert made.sentence == "There is no sparse network of SμPar's yet that can be compared with SP's."
    assert made.summary.rows[0][-1] == "nothing to compare"
    assert made.tables[0].rows[0][3:6] == ("-", "-", "-")


def test_another_reference(outcome: Callable[..., Outcome]) -> None:
    made = outcome({**DENSE, **SPARSE}, reference="mup")
    assert "a lower loss than μP" in made.sentence
    assert made.summary.columns[3] == "difference to μP (%)"
    assert [row[-1] for row in made.summary.rows][1] == "reference"


def test_the_table_has_a_row_a_cell(outcome: Callable[..., Outcome]) -> None:
    (table,) = outcome({**DENSE, **SPARSE}).tables
    row = dict(zip(table.columns, next(row for row in table.rows if row[:2] == ("SμPar", "0.75")), strict=True))
    assert row["loss (nats)"] == "1.9933 ± 0.0088"
    assert row["difference (nats)"] == "-0.2200 ± 0.0000"
    assert row["difference (%)"] == "-9.94"
    assert row["seeds"] == "3"


def test_the_picture_shows_losses_and_differences(outcome: Callable[..., Outcome]) -> None:
    (picture,) = outcome({**DENSE, **SPARSE, ("mup", 0.75): None}).pictures
    left, right = picture.figure.axes
    drawn = {str(line.get_label()): list(line.get_ydata()) for line in left.get_lines()}  # type: ignore[arg-type]
    assert drawn["SP"] == pytest.approx([2.0 + 0.04 / 3, 2.2 + 0.04 / 3])
    assert drawn["μP"] == pytest.approx([1.9 + 0.04 / 3]), "what diverged is a cross at the top"
    assert "SP" not in {line.get_label() for line in right.get_lines()}
    assert [text.get_text() for text in left.get_xticklabels()] == ["0.75", "0"]
    assert left.xaxis_inverted(), "dense is on the left"
