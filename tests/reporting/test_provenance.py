"""How a result was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smupar_transfer.records import CoordinateRecord, Manifest, MLPSpec, RunRecord
from smupar_transfer.reporting.provenance import of_coordinates, of_sweep, versions

MakeRecord = Callable[..., RunRecord]


def manifest(planned: int, full_grid: int | None = None) -> Manifest:
    keys = tuple(map(str, range(planned)))
    return Manifest("a_sweep", "Does it move?\n", "It does.\n", "smupar sweep a_sweep", keys, full_grid=full_grid)


def test_everything_it_takes_to_make_it_again(make_record: MakeRecord) -> None:
    records = [make_record("sp", 0.75, rate, None if rate == -3 else 2.0, seed) for rate in (-4, -3) for seed in (0, 1)]
    about = of_sweep(manifest(100), records)
    assert (about.name, about.question, about.expected) == ("a_sweep", "Does it move?", "It does.")
    assert (about.command, about.again) == ("smupar sweep a_sweep", "smupar plot a_sweep")
    assert dict(about.facts) == {
        "Runs": "4 of 100 planned, 2 diverged; seeds 0, 1",
        "Time": "72.0 s of training in all, median 18.0 s a run",
        "Network": "GPT, 2 blocks, heads of 16, feed-forward 4 times as wide (gelu), positions learned, "
        "tied embeddings, no biases, 256 tokens; width 64",
        "Sparsity of hidden weights": "0.75",
        "Training": "204,800 tokens in 200 steps of 32 × 32",
        "Base hyperparameters": "learning rate varied, init std 0.125, input multiplier 1, output multiplier 1.75, "
        "weight decay 0",
        "Data": f"python, sha256 {'ab' * 32}",
        "Machine": "a processor, 1 thread a run",
        "Sparse layers": "masked",
        "Versions": "python 3.11, torch 2.13",
        "Fewest non-zero weights per neuron": "16",
    }


def test_an_adaptive_sweep_says_what_it_spared(make_record: MakeRecord) -> None:
    said = dict(of_sweep(manifest(30, full_grid=100), [make_record()]).facts)["Adaptive"]
    assert said == "30 of the full grid's 100 runs; 70 were not needed"


def test_runs_that_share_a_training_count_once_in_time(make_record: MakeRecord) -> None:
    first, second = make_record("mup"), make_record("smupar")
    facts = dict(of_sweep(manifest(2), [first, replace(second, same_as=first.key)]).facts)
    assert facts["Runs"].startswith("2 of 2 planned, 1 different training")
    assert facts["Time"].startswith("18.0 s of training in all")


def test_machines_and_versions_that_differ_are_all_told(make_record: MakeRecord) -> None:
    first = make_record()
    other = replace(first.environment, machine="another", threads=2, versions={"python": "3.12", "torch": "2.13"})
    records = [first, replace(make_record(seed=1), environment=other)]
    assert versions(records) == "python 3.11 and 3.12, torch 2.13"
    machines = dict(of_sweep(manifest(2), records).facts)["Machine"]
    assert machines == "a processor, 1 thread a run; another, 2 threads a run"


def test_networks_are_told_with_their_widths(make_record: MakeRecord) -> None:
    records = [make_record(width=width) for width in (128, 64)]
    assert dict(of_sweep(manifest(2), records).facts)["Network"].endswith("256 tokens; widths 64 and 128")
    spec = replace(records[0].spec, model=MLPSpec(width=32, depth=1, features=64, classes=10))
    mlp = replace(records[0], spec=spec)
    assert dict(of_sweep(manifest(1), [mlp]).facts)["Network"] == "MLP, 1 hidden layer, ReLU; width 32"


def test_dense_layers_have_no_fewest_weights(make_record: MakeRecord) -> None:
    facts = dict(of_sweep(manifest(1), [replace(make_record(), layers=())]).facts)
    assert facts["Fewest non-zero weights per neuron"] == "-"


def test_of_a_coordinate_check(make_check: Callable[..., CoordinateRecord]) -> None:
    records = [make_check("smupar", sparsity, seed=seed) for sparsity in (0.0, 0.5) for seed in (0, 1)]
    about = of_coordinates(manifest(5), records)
    facts = dict(about.facts)
    assert facts["Runs"] == "4 of 5 planned; seeds 0, 1"
    assert facts["Training"] == "2 steps of 32 × 32 tokens"
    assert facts["Sparsity of hidden weights"] == "0 and 0.5"
    assert about.files == ("coordinates.jsonl", "sweep.json")
    assert {"Data", "Machine", "Sparse layers", "Versions", "Base hyperparameters", "Time"} <= facts.keys()
