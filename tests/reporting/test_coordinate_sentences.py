"""What a coordinate check says in words: every verdict, every reason, every way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from smupar_transfer.records import CoordinateRecord
from smupar_transfer.reporting.coordinate_sentences import described, interval, notes, title, ways_out
from smupar_transfer.statistics.coordinate_slopes import SlopeEstimate
from smupar_transfer.statistics.coordinate_verdicts import Judgement, judge, slopes_of

MakeCheck = Callable[..., CoordinateRecord]
UnderSGD = Callable[..., CoordinateRecord]
MakeRecords = Callable[..., list[CoordinateRecord]]

SPARSITIES = (0.0, 0.5, 0.75)


@pytest.fixture
def records(make_check: MakeCheck) -> MakeRecords:
    def made(
        powers: tuple[float, float, float] = (0.0, 0.0, 0.0), seeds: int = 3, noise: float = 0.01
    ) -> list[CoordinateRecord]:
        return [
            make_check("smupar", sparsity, seed=seed, powers=powers, noise=noise * seed)
            for sparsity in SPARSITIES
            for seed in range(seeds)
        ]

    return made


def judged(records: list[CoordinateRecord]) -> Judgement:
    (item,) = judge(records, "sparsity")
    return item


def late(record: CoordinateRecord) -> CoordinateRecord:
    """Whose gradients drift after the first step."""
    density = record.spec.sparsity.density
    layers = tuple(replace(x, gradient=(*x.gradient[:-1], x.gradient[-1] * density**0.5)) for x in record.layers)
    return replace(record, layers=layers)


def test_verdicts(records: MakeRecords) -> None:
    assert described(judged(records()), "sparsity") == (
        "stays put: at most activation ∝ density^0.01 [-0.01, 0.03] in mlp.up (start)"
    )
    assert described(judged(records((0.0, 0.5, 0.0))), "sparsity") == (
        "drifts: gradient ∝ density^0.51 [0.49, 0.53] in mlp.up (start)"
    )
    assert title(judged(records())) == "SμPar"


def test_open_for_lack_of_seeds(records: MakeRecords) -> None:
    item = judged(records(noise=0.05))
    assert described(item, "sparsity") == (
        "open: activation ∝ density^0.05 [-0.07, 0.17] in mlp.up (start) lies across the border of -0.1 to +0.1, "
        "as 3 more"
    )
    assert ways_out(item, 12) == ["more seeds than max_seeds=12"]


def test_one_seed_has_no_interval(records: MakeRecords) -> None:
    item = judged(records((0.02, 0.0, 0.0), seeds=1))
    assert described(item, "sparsity") == (
        "open: activation ∝ density^0.02 in mlp.up (start) has one seed, hence no interval, as 9 more"
    )
    assert ways_out(item, 12) == ["two seeds or more"]


def test_what_could_not_be_measured_is_named(records: MakeRecords) -> None:
    dead = [replace(r, layers=(replace(r.layers[0], update=(0.0, 0.0)), r.layers[1])) for r in records()]
    item = judged(dead)
    assert described(item, "sparsity") == "open: update in mlp.up (start) could not be measured"
    assert ways_out(item, 12) == ["scales at which every size is positive in some seed"]


def test_divergence_is_named(records: MakeRecords) -> None:
    first, *others = records()
    item = judged([replace(first, losses=first.losses[:2]), *others])
    assert described(item, "sparsity") == "open: 1 of 9 runs diverged"
    assert ways_out(item, 12) == ["a smaller hparams.learning_rate"]


def test_the_clip_is_named_with_every_verdict_that_it_may_reach(records: MakeRecords, under_sgd: UnderSGD) -> None:
    said = "the gradient clip acted in 18 of 18 steps of SGD"
    item = judged([under_sgd(record) for record in records()])
    assert described(item, "sparsity").endswith(f"in mlp.up (start), as trained: {said}")
    item = judged([late(under_sgd(record)) for record in records()])
    assert described(item, "sparsity") == (f"open: gradient ∝ density^0.51 [0.49, 0.53] in mlp.up (end), but {said}")
    assert ways_out(item, 12) == ["optimizer.gradient_clip=0, which measures the parametrization alone"]
    item = judged([under_sgd(record) for record in records((0.5, 0.0, 0.0))])
    assert said not in described(item, "sparsity"), "it drifts before the first step"


@pytest.mark.parametrize(
    ("decay", "first"),
    [(0.0, "First updates are given without that factor; all later sizes"), (0.1, "All updates and later sizes")],
)
def test_a_note_tells_what_the_clip_did_and_to_what(
    records: MakeRecords, under_sgd: UnderSGD, decay: float, first: str
) -> None:
    made = [
        under_sgd(r, norm=8 * r.spec.sparsity.density**0.5, weight_decay=decay, clip_updates=True) for r in records()
    ]
    (note,) = notes([judged(made)], slopes_of(made, "sparsity"), made, "sparsity", {})
    assert note == (
        "SμPar: the gradient clip acted in 18 of 18 steps of SGD. It multiplies gradients with the clip over the norm "
        f"of all of them, ∝ density^-0.50 [-0.50, -0.50] at the first. {first} include it: "
        "optimizer.gradient_clip=0 measures the parametrization alone."
    )


def test_a_note_tells_of_added_seeds(records: MakeRecords) -> None:
    made = records()
    (note,) = notes([judged(made)], slopes_of(made, "sparsity"), made, "sparsity", {"smupar": (1, 2)})
    assert note.startswith("SμPar was open with the seeds of the file: 1 and 2 were added. Its intervals are wider")


def test_intervals() -> None:
    assert interval(SlopeEstimate({0: 0.0, 1: 0.0})) == "[0.00, 0.00]"
    assert interval(SlopeEstimate({0: 0.0})) == "-"
