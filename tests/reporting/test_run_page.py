"""The pages about training runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import Evaluation, LayerSparsity, RunRecord
from smupar_transfer.reporting.card import read_card
from smupar_transfer.reporting.run_page import outcome, page_name, provenance, publish_run, sentence, summary

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def record(make_record: MakeRecord) -> RunRecord:
    history = tuple(Evaluation(step, 3.0, loss, 0.25) for step, loss in ((100, 2.5), (200, 2.0)))
    return replace(make_record("smupar", 0.75), history=history)


def page(folder: Path, name: str = "report.html") -> str:
    return (folder / name).read_text(encoding="utf-8")


def as_told(record: RunRecord) -> dict[str, str]:
    return {row[0]: row[1] for row in summary(record).rows}


def test_the_sentence_says_what_was_reached(record: RunRecord) -> None:
    assert sentence(record) == (
        "SμPar, width 64, sparsity 0.75: after 204,800 tokens the validation loss is 2.0000 nats, 2.885 bits per byte."
    )
    assert sentence(replace(record, bits_per_byte=None)).endswith("is 2.0000 nats.")


def test_a_run_that_diverged_says_so(make_record: MakeRecord) -> None:
    lost = make_record("sp", loss=None)
    assert sentence(lost) == "SP, width 64, sparsity 0: the run diverged, within 200 of 200 steps."
    assert outcome(lost).verdict == "diverged"
    assert as_told(lost)["validation loss"] == "diverged", "and not so many nats"


def test_the_summary_is_the_record(record: RunRecord) -> None:
    rows = as_told(record)
    assert rows["validation loss"] == "2.0000 nats"
    assert rows["parameters"] == "100,000, 60,000 of them not zero"
    assert rows["weights per neuron"] == "16"
    assert rows["time"] == "18.0 s"


def test_passes_over_data_of_unknown_size_are_not_told(record: RunRecord) -> None:
    """Of batches of a person's own nothing is known; they were said to be seen 0 times."""
    assert as_told(record)["tokens"].endswith(" epochs)")
    unknown = replace(record, spec=replace(record.spec, data=replace(record.spec.data, train_size=0)))
    assert as_told(unknown)["tokens"] == "204,800"


@pytest.mark.parametrize(("seconds", "told"), [(0.0123, "12.3 ms a step"), (4.57, "4.6 s a step")])
def test_the_time_of_a_step_is_in_a_unit_that_suits_it(record: RunRecord, seconds: float, told: str) -> None:
    facts = dict(provenance("train", replace(record, step_seconds=seconds), "smupar train").facts)
    assert told in facts["Time"]


def test_layers_and_validations_have_their_tables(record: RunRecord) -> None:
    evaluations, layers = outcome(record).tables
    assert evaluations.rows[1] == ("200", "3.0000", "2.0000", "0.250")
    assert layers.rows == (("blocks.0.mlp.up.weight", "4,096", "4,096", "1", "16", "0"),)
    assert list(layers.frame["dead_outputs"]) == [0]


def test_a_network_without_sparse_layers_leaves_no_old_table_behind(record: RunRecord, tmp_path: Path) -> None:
    publish_run(tmp_path, record, [record], "smupar train")
    dense = replace(record, layers=())
    publish_run(tmp_path, dense, [dense], "smupar train")
    assert len((tmp_path / "layers.csv").read_text(encoding="utf-8").splitlines()) == 1
    assert "Sparse layers</h2>" not in page(tmp_path)


def test_dead_outputs_and_shared_trainings_are_told(record: RunRecord) -> None:
    dead = LayerSparsity("a", 1, 8, 0.5, 3)
    notes = outcome(replace(record, layers=(dead, dead), same_as="abc")).notes
    assert notes[0].startswith("6 outputs of sparse layers have no weight at all")
    assert "the same as run abc" in notes[1]
    assert outcome(record).notes == ()


def test_several_runs_of_a_folder_keep_a_page_each(record: RunRecord, make_record: MakeRecord, tmp_path: Path) -> None:
    """Guards against a second run that takes the first one's page away."""
    folder = tmp_path / "train"
    first, second, old = record, make_record("sp", 0.5), make_record("mup", loss=None)
    publish_run(folder, first, [first], "smupar train")
    assert "All runs" not in page(folder)
    os.utime(folder / page_name(first.key), (1, 1))
    publish_run(folder, second, [first, old, second], "smupar train a=1")
    assert sentence(first) in page(folder, page_name(first.key))
    assert sentence(second) in page(folder, page_name(second.key))
    assert sentence(second) in page(folder)
    table = page(folder).partition("All runs in this folder</h2>")[2].partition("</table>")[0]
    keys = re.findall(rf"<td>(?:<a href=\"report_(\w+)\.html\">\1</a>|({old.key}))</td>", table)
    assert [linked or plain for linked, plain in keys] == [second.key, first.key, old.key], "the latest comes first"
    assert (folder / "all_runs.csv").read_text(encoding="utf-8").count("\n") == 4
    card = read_card(folder / "report.html")
    assert card is not None
    assert (card.kind, card.cost) == ("training", "3 runs, 54.0 s")


def test_a_page_of_its_own_leads_to_nothing_that_another_run_overwrites(record: RunRecord, tmp_path: Path) -> None:
    publish_run(tmp_path / "train", record, [record], "smupar train")
    own = page(tmp_path / "train", page_name(record.key))
    assert re.findall(r'href="((?!data:)[^"]*)"', own) == ["../index.html", "records.jsonl"]
    assert 'href="record.json"' in page(tmp_path / "train")


def test_a_page_says_how_to_make_it_again(record: RunRecord, tmp_path: Path) -> None:
    publish_run(tmp_path, record, [record], "smupar train target.width=64")
    text = page(tmp_path)
    for words in (
        "smupar train target.width=64",
        record.key,
        "adamw, beta1 0.9, beta2 0.95, epsilon 1e-08, independent weight decay",
        "ab" * 32,
        "a processor, 1 thread a run",
        "18.0 s in all, 90 ms a step (median)",
    ):
        assert words in text
