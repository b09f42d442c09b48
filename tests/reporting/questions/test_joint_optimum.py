"""Is the joint optimum of two hyperparameters where it was?"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.figures.contours import Contours
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of
from smupar_transfer.reporting.questions.joint_optimum import LEVELS, RANGE, Move, Surfaces, contour_levels, moved
from smupar_transfer.statistics import Status
from smupar_transfer.statistics.joint_optimum import JointOptimum, Surface

MakeRecord = Callable[..., RunRecord]
Point = tuple[float, float]
ASKED = {
    "kind": "contours",
    "swept": ("learning_rate", "init_std"),
    "proxy_hparams": {"learning_rate": 2.0**-5, "init_std": 0.125},
}


@pytest.fixture
def outcome(make_record: MakeRecord, make_manifest: Callable[..., Manifest]) -> Callable[..., Outcome]:
    """Of bowls around the joint optimum of every (parametrization, sparsity)."""

    def of(optima: dict[tuple[str, float], Point]) -> Outcome:
        noise = np.random.default_rng(0)
        records = [
            make_record(
                name,
                sparsity,
                rate,
                2.0 + 0.1 * (rate - x) ** 2 + 0.1 * (std - y) ** 2 + 0.01 * seed + 1e-4 * noise.standard_normal(),
                seed,
                init_std=2.0**std,
            )
            for (name, sparsity), (x, y) in optima.items()
            for rate in range(-8, -1)
            for std in range(-6, 0)
            for seed in (0, 1)
        ]
        return outcome_of(make_manifest(records, **ASKED), records)

    return of


STILL = {("smupar", 0.0): (-5.0, -3.0), ("smupar", 0.75): (-5.1, -2.9)}
MOVING = {("sp", 0.0): (-6.0, -3.0), ("sp", 0.75): (-4.0, -3.5)}


def test_the_sentence_says_the_verdict_and_the_summary_how_far_both_moved(outcome: Callable[..., Outcome]) -> None:
    made = outcome({**MOVING, **STILL})
    assert re.fullmatch(
        r"SμPar's joint optimum of learning rate and initial standard deviation stays put from sparsity 0 to 0\.75: it "
        r"drifts by 0\.10 octaves \[0\.\d\d, 0\.1\d\], where 0\.35 are allowed\.",
        made.sentence,
    )
    assert made.summary.columns == ("", "drift (octaves)", "along η", "along σ", "best loss (nats)", "verdict")
    sp, smupar = made.summary.rows
    assert (sp[0], sp[1][:6], *sp[2:4], sp[5]) == ("SP", "2.00 [", "+2.00", "-0.50", "moves")
    assert (smupar[0], smupar[1][:6], *smupar[2:4], smupar[5]) == ("SμPar", "0.10 [", "-0.10", "+0.10", "stays put")
    assert (1, 1) in made.summary.best
    assert (0, 1) not in made.summary.best


def test_supar_staying_put_is_expected_and_moving_is_not(outcome: Callable[..., Outcome]) -> None:
    assert outcome({**MOVING, **STILL}).verdict == "holds"
    assert outcome({**STILL, ("smupar", 0.75): (-4.0, -3.0)}).verdict == "does not hold"
    assert outcome(MOVING).verdict == "open"
    assert outcome(MOVING).sentence.startswith("No runs here say whether SμPar's joint optimum")


def test_each_hyperparameter_is_judged_by_its_own_interval() -> None:
    def at(x: float, y: float, half: tuple[float, float]) -> JointOptimum:
        low, high = (x - half[0], y - half[1]), (x + half[0], y + half[1])
        return JointOptimum((x, y), low, high, np.eye(2), 1.0, 2.0, Status.FIT)

    axes = (np.zeros(1), np.zeros(1))
    cells = [Surface("smupar", {}, ("learning_rate", "init_std"), axes, (0,), np.zeros(1)) for _ in range(2)]
    family = Surfaces("SμPar", tuple(cells))

    def move(second: JointOptimum) -> Move:
        its_move = moved(family, {id(cells[0]): at(-5, -3, (0.01, 0.3)), id(cells[1]): second})
        assert its_move is not None
        return its_move

    # the rate has moved by 0.05 for sure, the deviation by 0.5 in all likelihood: neither is a drift of 0.35 for sure
    unsure = move(at(-4.95, -2.5, (0.01, 0.3)))
    assert unsure.least == pytest.approx(0.03)
    assert unsure.most == pytest.approx(1.1)
    assert move(at(-4.5, -3.0, (0.1, 0.3))).least == pytest.approx(0.39)


def test_an_optimum_at_the_edge_is_about_where_it_is_said_to_be(outcome: Callable[..., Outcome]) -> None:
    made = outcome({**STILL, ("smupar", 0.75): (0.0, -3.0)})
    assert made.sentence.startswith("It is open whether SμPar's joint optimum")
    assert made.summary.rows[0][1:3] == ("about 3.00", "+3.00")
    assert made.tables[0].rows[1][6] == "edge"


def test_one_cell_has_no_outcome(outcome: Callable[..., Outcome]) -> None:
    assert outcome({("smupar", 0.0): (-5.0, -3.0)}).sentence.startswith("There is no family of runs with two places")


def test_tables(outcome: Callable[..., Outcome]) -> None:
    optimum, points = outcome({**MOVING, **STILL}).tables
    assert optimum.columns[2:6] == ("log2 η*", "95 % interval", "log2 σ*", "95 % interval")
    assert [row[:2] for row in optimum.rows] == [("SP", "0"), ("SP", "0.75"), ("SμPar", "0"), ("SμPar", "0.75")]
    assert (optimum.rows[1][2], optimum.rows[1][4], optimum.rows[1][6]) == ("-4.00", "-3.50", "fit")
    assert (len(points.frame), points.rows) == (4 * 7 * 6, ())


def test_the_picture_has_a_panel_a_cell(outcome: Callable[..., Outcome]) -> None:
    (picture,) = outcome({**MOVING, **STILL}).pictures
    titles = [axes.get_title() for axes in picture.figure.axes]
    assert titles[:4] == ["SP, sparsity 0", "SP, sparsity 0.75", "SμPar, sparsity 0", "SμPar, sparsity 0.75"]


def test_levels_begin_at_the_best_loss_and_grow() -> None:
    panel = Contours("", (0.0,), (0.0,), ((2.5, float("nan")), (2.0, 9.0)), None, exact=False)
    levels = contour_levels([panel])
    assert (levels[0], levels[-1], len(levels)) == (2.0, 2.0 + RANGE, LEVELS)
    assert (np.diff(levels, n=2) > 0).all()


def test_a_cell_at_the_edge_hides_no_move_of_others() -> None:
    axes = (np.zeros(1), np.zeros(1))
    cells = [Surface("smupar", {}, ("learning_rate", "init_std"), axes, (0,), np.zeros(1)) for _ in range(3)]
    nothing = (math.nan, math.nan)
    optima = [
        JointOptimum((0, 0), (-0.1, -0.1), (0.1, 0.1), np.eye(2), 1.0, 2.0, Status.FIT),
        JointOptimum((2, 0), (1.9, -0.1), (2.1, 0.1), np.eye(2), 1.0, 2.0, Status.FIT),
        JointOptimum((3, 0), nothing, nothing, np.eye(2), 1.0, 2.0, Status.EDGE),
    ]
    move = moved(Surfaces("SμPar", tuple(cells)), dict(zip(map(id, cells), optima, strict=True)))
    assert move is not None
    assert move.least == pytest.approx(1.8)
    assert math.isnan(move.most)
    assert not move.exact
