from __future__ import annotations

from dataclasses import replace

from smupar_transfer.records import LayerSparsity, RunRecord, trained_runs


def test_density_of_a_layer_is_the_part_that_exists() -> None:
    assert LayerSparsity("w", nonzero=1024, size=8192, weights_per_neuron=16.0, dead_outputs=0).density == 0.125


def test_a_run_has_the_weights_per_neuron_of_its_thinnest_layer(record: RunRecord) -> None:
    assert record.weights_per_neuron == 32.0
    assert replace(record, layers=record.layers[::-1]).weights_per_neuron == 32.0
    assert replace(record, layers=record.layers[1:]).weights_per_neuron == 64.0


def test_a_run_without_sparse_layers_has_none(record: RunRecord) -> None:
    assert replace(record, layers=()).weights_per_neuron is None


def test_runs_that_share_a_training_count_once(record: RunRecord) -> None:
    other, shared = replace(record, key="other"), replace(record, key="shared", same_as=record.key)
    assert trained_runs([record, other, shared]) == [shared, other]
    assert trained_runs([shared]) == [shared]  # the run it shares is in another result
    assert trained_runs([]) == []
