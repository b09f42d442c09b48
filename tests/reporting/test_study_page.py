"""The page about a search."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from smupar_transfer.records import RunRecord
from smupar_transfer.reporting.card import read_card
from smupar_transfer.reporting.study import Study
from smupar_transfer.reporting.study_page import (
    draw_study,
    outcome,
    provenance,
    publish_study,
    sentence,
    summary,
)
from smupar_transfer.statistics.confirmed import Confirmed


@dataclass(frozen=True)
class ATrial:
    """As ``tuning.TrialOutcome``."""

    number: int
    value: float | None
    outcome: str = "complete"
    hparams: dict[str, float] = field(default_factory=dict)
    last: tuple[int, float] | None = (100, 3.0)
    seconds: float | None = 2.0


@dataclass(frozen=True)
class ARange:
    """As ``tuning.Range``."""

    low: float
    high: float
    log: bool = True


def point(log2_rate: float, decay: float = 0.5) -> dict[str, float]:
    return {"learning_rate": 2.0**log2_rate, "weight_decay": decay}


TRIALS = (
    ATrial(0, 2.5, hparams=point(-5, 0.0)),
    ATrial(1, None, "pruned", point(-9), (50, 3.25)),
    ATrial(2, 2.01, hparams=point(-7, 0.25)),
    ATrial(3, 2.0, hparams=point(-6, 0.5)),
    ATrial(4, None, "diverged", point(-2), None, None),
)


@pytest.fixture
def study(make_record: Callable[..., RunRecord]) -> Study:
    space = {"learning_rate": ARange(2.0**-10, 2.0**-2), "weight_decay": ARange(0.0, 1.0, log=False)}
    proxy = make_record(log2_rate=-5.0, weight_decay=0.0).spec
    return Study("proxy", "smupar tune", "smupar transfer tuned=x", proxy, space, 6, TRIALS)


def test_the_sentence_names_the_best_trial_and_what_the_defaults_reach(study: Study) -> None:
    said = "Trial 3 of 5 is best, with a validation loss of 2.0000 nats"
    assert sentence(study) == f"{said}; the defaults reach 2.5000."
    lost = replace(TRIALS[0], value=None, outcome="pruned")
    assert sentence(replace(study, trials=(lost, *TRIALS[1:]))) == f"{said}; the defaults were pruned."
    assert sentence(replace(study, trials=TRIALS[1:])) == "Trial 3 of 4 is best, with a validation loss of 2.0000 nats."
    assert sentence(replace(study, trials=TRIALS[:1])).endswith("2.5000 nats; its hyperparameters are the defaults.")


AGAIN = (Confirmed(3, (2.2, 2.4)), Confirmed(2, (2.1, 2.3)), Confirmed(0, (2.1, 2.4)))
"""Trial 3, which leads the search, loses to trial 2 by a tenth with both seeds; trial 0 ties with that."""


def test_the_best_is_the_one_that_further_seeds_confirm(study: Study) -> None:
    confirmed = replace(study, confirmed=AGAIN, confirmation_seconds=12.0)
    assert confirmed.best[0].number == 2
    assert sentence(confirmed) == (
        "Trial 2 of 5 is best: its mean validation loss over 2 further seeds is 2.2000 nats (standard error 0.1000), "
        "the lowest of the 3 best trials, which were trained again; trial 0 ties with it, within the standard error; "
        "the defaults reach 2.2500."
    )
    table, _ = outcome(confirmed).tables
    assert table.rows == (
        ("2", "2.0100", "2.2000", "0.1000", "best"),
        ("0", "2.5000", "2.2500", "0.1500", "yes"),
        ("3", "2.0000", "2.3000", "0.1000", "no"),
    )
    assert dict(provenance(confirmed).facts)["Time"] == (
        "8.0 s of all trials together, 12.0 s of 6 trainings that confirm the best"
    )
    assert summary(confirmed).rows[0][1] == "0.007812", "what is told of the best is told of trial 2"


def test_a_search_that_ends_with_the_defaults_says_so(study: Study) -> None:
    kept = replace(study, confirmed=(Confirmed(3, (2.2, 2.4)), Confirmed(0, (2.0, 2.1))))
    assert sentence(kept).endswith("; its hyperparameters are the defaults, which the search did not improve on.")
    others = replace(study, confirmed=(Confirmed(3, (2.2, 2.4)), Confirmed(2, (2.0, 2.1))))
    assert "defaults" not in sentence(others), "which were not trained again"


def test_candidates_that_all_diverged_are_told(study: Study) -> None:
    lost = replace(study, confirmed=(Confirmed(3, (2.0, None)), Confirmed(2, (None, None))))
    assert sentence(lost) == "Every one of the best 2 trials diverged with one of 2 further seeds."
    assert [row[2:] for row in outcome(lost).tables[0].rows] == [("diverged", "-", "best"), ("diverged", "-", "no")]


def test_a_row_a_hyperparameter_says_how_much_it_matters(study: Study) -> None:
    made = summary(study)
    assert made.rows == (
        ("learning rate η", "0.01562", "0.03125", "0.0009766 to 0.25", "0.007812 to 0.01562", "12 %"),
        ("weight decay λ", "0.5", "0", "0 to 1", "0.25 to 0.5", "25 %"),
    )
    assert made.best == {(0, 1), (1, 1)}
    assert made.note.startswith("Within 1 % of the best loss lie 2 trials")


def test_one_good_trial_says_nothing_about_a_range(study: Study) -> None:
    made = summary(replace(study, trials=TRIALS[:2]))
    assert [row[-2:] for row in made.rows] == [("-", "-")] * 2


def test_a_best_value_at_the_end_of_its_range_is_told(study: Study) -> None:
    assert outcome(study).notes == ()
    at_end = replace(TRIALS[3], hparams=point(-2.1, 0.01))
    assert outcome(replace(study, trials=(*TRIALS[:3], at_end))).notes == (
        "The best value of learning rate (upper end) and weight decay (lower end) lies at the end of what was "
        "searched: a wider range may hold a better one.",
    )


def test_trials_are_counted_by_how_they_ended(study: Study) -> None:
    facts = dict(provenance(study).facts)
    assert facts["Trials"] == "5 of 6 planned: 3 complete, 1 pruned, 1 diverged"
    assert facts["Time"] == "8.0 s of all trials together"
    assert facts["Seed"] == "0"
    assert "learning rate 0.03125" in facts["Base hyperparameters"]
    assert provenance(study).cost == "5 trials, 8.0 s"


def test_the_table_shows_the_best_and_the_file_has_all(study: Study, tmp_path: Path) -> None:
    (table,) = outcome(study).tables
    assert [row[:2] for row in table.rows] == [("3", "2.0000"), ("2", "2.0100"), ("0", "2.5000")]
    publish_study(tmp_path / "proxy", study)
    with (tmp_path / "proxy" / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trial"], row["outcome"]) for row in rows][1::3] == [("1", "pruned"), ("4", "diverged")]
    assert (rows[1]["loss"], rows[1]["last_step"], rows[1]["last_loss"]) == ("", "50", "3.25")


def test_a_page_is_written_and_notes_by_hand_stay(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "proxy"
    folder.mkdir()
    (folder / "README.md").write_text("mine", encoding="utf-8")
    publish_study(folder, study)
    figures = {f"{name}.{suffix}" for name in ("history", "slices") for suffix in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {"README.md", "report.html", "trials.csv", *figures}
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ("smupar transfer tuned=x", 'href="tuned.yaml"', "Grey points were pruned", "Best trials"):
        assert words in page
    card = read_card(folder / "report.html")
    assert card is not None
    assert (card.kind, card.verdict, card.sentence) == ("search", "", sentence(study))
    assert "proxy/report.html" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_figures_can_be_had_without_the_page(study: Study, tmp_path: Path) -> None:
    draw_study(tmp_path, study)
    assert {path.name for path in tmp_path.iterdir()} == {"history.png", "history.svg", "slices.png", "slices.svg"}
