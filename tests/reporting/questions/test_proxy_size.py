"""How small may the proxy be before the target pays for it?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smupar_transfer.records import Manifest, RunRecord
from smupar_transfer.reporting.outcome import Outcome
from smupar_transfer.reporting.questions import outcome_of

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def outcome(make_record: MakeRecord, make_manifest: Callable[..., Manifest]) -> Callable[..., Outcome]:
    """Of the optima of dense proxies by width; that of the target (width 128, sparsity 0.75) is -5."""

    def of(proxies: dict[int, float], name: str = "smupar", seeds: tuple[int, ...] = (0, 1)) -> Outcome:
        cells = {(width, 0.0): optimum for width, optimum in proxies.items()} | {(128, 0.75): -5.0}
        records = [
            make_record(
                name,
                sparsity,
                rate,
                2.0 + 0.1 * (rate - optimum) ** 2 + 0.01 * seed,
                seed,
                width,
                flops=1e9 * width,
            )
            for (width, sparsity), optimum in cells.items()
            for rate in range(-8, -1)
            for seed in seeds
        ]
        asked = {"kind": "proxy_size", "axis": "width", "tied": ("sparsity",)}
        return outcome_of(make_manifest(records, **asked), records)

    return of


def test_the_smallest_proxy_that_is_good_enough_is_bold(outcome: Callable[..., Outcome]) -> None:
    # At -4 the target loses 0.1 of 2.005 nats; base width is 32; 7 values at a quarter of the target's FLOPs.
    made = outcome({16: -4.0, 32: -5.0, 64: -5.0})
    assert made.sentence == (
        "Under SμPar every proxy of base width and more is large enough: that of width 32 costs the target 0.00 % "
        "[0.00, 0.00] of its loss, where 0.5 % are allowed."
    )
    assert made.summary.rows == (
        ("width 16", "4.99 % [4.99, 4.99]", "88 %", "too small"),
        ("width 32", "0.00 % [0.00, 0.00]", "175 %", "large enough"),
        ("width 64", "0.00 % [0.00, 0.00]", "350 %", "large enough"),
    )
    assert made.summary.note.endswith("The target is SμPar, width 128, sparsity 0.75.")
    assert made.summary.best == {(1, 0), (1, 1)}


def test_a_small_proxy_that_is_good_by_luck_does_not_count(outcome: Callable[..., Outcome]) -> None:
    assert outcome({16: -5.0, 32: -4.0, 64: -5.0}).summary.best == {(2, 0), (2, 1)}


def test_if_none_is_good_enough_the_sentence_says_so(outcome: Callable[..., Outcome]) -> None:
    made = outcome({16: -4.0, 64: -4.0})
    assert made.sentence.startswith("Under SμPar not every proxy of base width and more is large enough: that of width")
    assert made.summary.best == frozenset()


def test_proxies_of_several_targets_say_whose_they_are(
    make_record: MakeRecord, make_manifest: Callable[..., Manifest]
) -> None:
    records = [
        make_record(name, sparsity, rate, 2.0 + 0.1 * (rate + 5) ** 2 + 0.01 * seed, seed, width, flops=1e9 * width)
        for name in ("sp", "smupar")
        for width, sparsity in ((32, 0.0), (128, 0.75))
        for rate in range(-8, -1)
        for seed in (0, 1)
    ]
    made = outcome_of(make_manifest(records, kind="proxy_size", axis="width", tied=("sparsity",)), records)
    assert [row[0] for row in made.summary.rows] == [
        "width 32 for SP, width 128, sparsity 0.75",
        "width 32 for SμPar, width 128, sparsity 0.75",
    ]


def test_without_intervals_it_is_open(outcome: Callable[..., Outcome]) -> None:
    made = outcome({32: -5.0, 64: -5.0}, seeds=(0,))
    assert made.sentence.startswith("It is open whether under SμPar every proxy")
    assert {row[-1] for row in made.summary.rows} == {"open"}


def test_without_supar_the_claim_is_about_nothing(outcome: Callable[..., Outcome]) -> None:
    made = outcome({32: -5.0}, "sp")
    assert made.sentence == "There is no proxy of base width or more under SμPar yet."
    assert len(made.summary.rows) == 1


def test_the_verdict_is_about_proxies_of_base_width_and_more(outcome: Callable[..., Outcome]) -> None:
    assert outcome({16: -4.0, 32: -5.0, 64: -5.0}).verdict == "holds"
    assert outcome({16: -5.0, 32: -4.0, 64: -5.0}).verdict == "does not hold"
    assert outcome({16: -5.0}).verdict == "open"
    assert outcome({32: -5.0, 64: -5.0}, seeds=(0,)).verdict == "open", "what has no interval is no evidence"
    assert outcome({32: -5.0}, "sp").verdict == "open"


def test_without_a_proxy_there_is_no_outcome(outcome: Callable[..., Outcome]) -> None:
    made = outcome({})
    assert made.sentence == "There is no proxy and target that both trained yet."
    assert made.tables[0].rows == ()


def test_table_and_picture(outcome: Callable[..., Outcome]) -> None:
    made = outcome({16: -4.0, 32: -5.0})
    rows = [dict(zip(made.tables[0].columns, row, strict=True)) for row in made.tables[0].rows]
    assert [row["proxy width"] for row in rows] == ["16", "32"]
    assert (rows[0]["regret"], rows[0]["search"], rows[0]["log2 η*"]) == ("4.99 %", "88 %", "-4.00")
    left, right = made.pictures[0].figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["16", "32"]
    assert list(right.get_lines()[0].get_ydata()) == pytest.approx([87.5, 175.0])  # type: ignore[arg-type]
