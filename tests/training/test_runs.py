"""From a specification to a record."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from smupar_transfer.model import build
from smupar_transfer.records import DataSpec, Precision, RunRecord, RunSpec, RunStore, SparsitySpec, to_plain
from smupar_transfer.theory import BaseHyperparameters, InputError, OptimizerSettings
from smupar_transfer.training import Execution, TokenData, load_data, load_network, machine_name, run, sample

Timeless = Callable[[RunRecord], RunRecord]


def diverging(spec: RunSpec) -> RunSpec:
    return replace(spec, hparams=BaseHyperparameters(1e6, 0.1))


def test_equal_specifications_give_equal_records(spec: RunSpec, corpus: TokenData, timeless: Timeless) -> None:
    first = run(spec, corpus)
    torch.rand(1)  # the global stream of random numbers plays no part
    assert timeless(run(spec, corpus)) == timeless(first)


@pytest.mark.parametrize("evaluations", [1, 20])
def test_how_often_a_run_is_validated_does_not_change_it(spec: RunSpec, corpus: TokenData, evaluations: int) -> None:
    watched = run(replace(spec, budget=replace(spec.budget, evaluations=evaluations)), corpus)
    assert watched.validation_loss == run(spec, corpus).validation_loss


def test_seeds_differ_in_weights_masks_and_batches(spec: RunSpec, corpus: TokenData) -> None:
    losses = {run(replace(spec, seed=seed), corpus).validation_loss for seed in range(4)}
    assert len(losses) == 4


def test_every_seed_is_validated_on_the_same_batches(
    spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    original = TokenData.validation_batches

    def noted(self: TokenData, count: int, batch: int, length: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        seen.append(original(self, count, batch, length))
        return seen[-1]

    monkeypatch.setattr(TokenData, "validation_batches", noted)
    for seed in (1, 2):
        run(replace(spec, seed=seed), corpus)
    first, second = seen
    assert len(first) == spec.budget.evaluation_batches
    for (inputs, targets), (other_inputs, other_targets) in zip(first, second, strict=True):
        assert inputs.shape == (4, 8)
        assert torch.equal(inputs, other_inputs)
        assert torch.equal(targets, other_targets)


def test_a_record_says_what_was_trained(spec: RunSpec, corpus: TokenData) -> None:
    record = run(spec, corpus)
    assert (record.key, record.spec) == (spec.key, spec)
    assert record.tokens == 20 * 4 * 8
    assert record.epochs == 640 / 1_600
    last = record.history[-1]
    assert (record.train_loss, record.validation_loss, record.accuracy) == (
        last.train_loss,
        last.validation_loss,
        last.accuracy,
    )
    assert not record.diverged
    assert 0 < record.step_seconds < record.wall_seconds
    assert record.cpu_seconds is not None
    assert record.cpu_seconds > 0


def test_parameters_and_operations_are_counted(spec: RunSpec, corpus: TokenData) -> None:
    record = run(spec, corpus)
    embedding, positions, hidden, norms = 16 * 16, 16 * 16, 12 * 16**2, 3 * 16
    assert record.parameters == embedding + positions + hidden + norms
    assert record.nonzero_parameters == record.parameters - hidden // 2
    attention = 8 * 16  # the causal half of keys and of values, over 8 positions
    assert record.flops_dense == 640 * 6 * (embedding + hidden + attention)
    assert record.flops_sparse == 640 * 6 * (embedding + hidden // 2 + attention)


def test_layers_are_reported_as_drawn(spec: RunSpec, corpus: TokenData) -> None:
    record = run(spec, corpus)
    assert [layer.name for layer in record.layers] == [
        f"blocks.0.{name}.weight" for name in ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    ]
    assert {layer.density for layer in record.layers} == {0.5}
    assert record.weights_per_neuron == 8
    assert run(replace(spec, sparsity=SparsitySpec()), corpus).weights_per_neuron == 16


@pytest.mark.parametrize(("per_token", "factor"), [(1.0, 1.0), (4.0, 0.25), (None, None)])
def test_bits_per_byte(spec: RunSpec, corpus: TokenData, per_token: float | None, factor: float | None) -> None:
    known = replace(corpus.spec, bytes_per_token=per_token)
    record = run(replace(spec, data=known), replace(corpus, spec=known))
    assert record.validation_loss is not None
    bits = record.validation_loss / math.log(2)
    assert record.bits_per_byte == (None if factor is None else pytest.approx(bits * factor))


def test_the_environment_is_recorded_and_leaves_the_key_alone(
    spec: RunSpec, corpus: TokenData, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    record = run(spec, corpus, Execution(threads=3, backend="masked"))
    assert used == [3]
    assert (record.environment.threads, record.environment.device, record.environment.backend) == (3, "cpu", "masked")
    assert record.environment.machine == machine_name() != ""
    assert record.environment.versions["torch"] == torch.__version__
    assert record.key == spec.key


@pytest.mark.parametrize("rate", [10.0, 1e6, 1e30])
def test_divergence_is_an_outcome(spec: RunSpec, corpus: TokenData, tmp_path: Path, rate: float) -> None:
    lost = replace(spec, hparams=BaseHyperparameters(rate, 0.1))
    record = run(lost, corpus)
    assert record.diverged
    assert (record.train_loss, record.validation_loss, record.bits_per_byte, record.accuracy) == (None,) * 4
    assert 0 < record.tokens < lost.budget.tokens
    assert len(record.history) >= 1
    json.dumps(to_plain(record), allow_nan=False)
    RunStore(tmp_path).put(record)
    assert RunStore(tmp_path).get(record.key) == record


def test_the_record_of_a_good_run_survives_the_store(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    record = run(spec, corpus)
    RunStore(tmp_path).put(record)
    assert RunStore(tmp_path).get(spec.key) == record


def test_other_data_are_refused(spec: RunSpec, corpus: TokenData) -> None:
    changed = DataSpec("text", sha256="cd" * 32, train_size=1_600, validation_size=400)
    with pytest.raises(InputError, match=r"has sha256 cdcd.*the run needs abab"):
        run(spec, replace(corpus, spec=changed))


def test_a_corpus_shorter_than_a_sequence_is_refused(spec: RunSpec, corpus: TokenData) -> None:
    short = replace(corpus, validation=np.zeros(8, dtype=np.uint8))
    with pytest.raises(InputError, match=r"budget\.sequence_length"):
        run(spec, short)


@pytest.mark.parametrize(
    ("settings", "key"), [({"threads": 0}, "threads"), ({"device": "tpu"}, "device"), ({"device": ""}, "device")]
)
def test_an_impossible_execution_is_refused(settings: dict[str, object], key: str) -> None:
    with pytest.raises(InputError) as caught:
        Execution(**settings)  # type: ignore[arg-type]
    assert caught.value.key == key


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_cuda_says_what_to_do(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="torch sees no CUDA device; use device=cpu"):
        Execution(device=device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Execution(device=device).device == device


def test_an_unknown_backend_is_refused(spec: RunSpec, corpus: TokenData) -> None:
    with pytest.raises(InputError, match=r"sparsity\.backend=quantum"):
        run(spec, corpus, Execution(backend="quantum"))


def test_shorter_products_are_another_run_that_ends_nearly_the_same(spec: RunSpec, corpus: TokenData) -> None:
    shorter = replace(spec, precision=Precision.BFLOAT16)
    assert shorter.key != spec.key
    full, short = run(spec, corpus).validation_loss, run(shorter, corpus).validation_loss
    assert full is not None
    assert short is not None
    assert short != full
    assert short == pytest.approx(full, rel=0.01)


def test_sgd_trains(spec: RunSpec, corpus: TokenData) -> None:
    sgd = OptimizerSettings(name="sgd")
    losses = [
        evaluation.validation_loss
        for evaluation in run(replace(spec, optimizer=sgd, hparams=BaseHyperparameters(0.3, 0.1)), corpus).history
    ]
    assert None not in losses
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]


@pytest.mark.parametrize("density", [1.0, 0.25])
def test_an_mlp_learns_digits(digits_spec: RunSpec, density: float) -> None:
    record = run(replace(digits_spec, sparsity=SparsitySpec(density)), load_data("digits"))
    assert record.accuracy is not None
    assert record.accuracy > 0.8
    assert record.bits_per_byte is None
    assert record.epochs == pytest.approx(6_400 / digits_spec.data.train_size)


def test_smupar_is_mup_where_nothing_is_zero_and_only_there(spec: RunSpec, corpus: TokenData) -> None:
    def histories(density: float) -> list[object]:
        sparse = replace(spec, sparsity=SparsitySpec(density))
        return [run(replace(sparse, parametrization=name), corpus).history for name in ("mup", "smupar")]

    dense, sparse = histories(1.0), histories(0.25)
    assert dense[0] == dense[1]
    assert sparse[0] != sparse[1]


def test_a_rate_tuned_on_a_dense_proxy_serves_a_wide_sparse_target_under_smupar_only(
    spec: RunSpec, corpus: TokenData
) -> None:
    budget = replace(spec.budget, steps=30, batch_size=8, warmup_steps=3, evaluations=1, evaluation_batches=4)
    proxy = replace(spec, base_width=16, sparsity=SparsitySpec(), budget=budget, seed=0)
    target = replace(proxy, model=replace(spec.model, width=128), sparsity=SparsitySpec(1 / 8))

    def losses(base: RunSpec, name: str) -> dict[int, float]:
        rates = {power: BaseHyperparameters(2.0**power, 0.1) for power in (-8, -6, -5, -4)}
        by_power = {
            power: run(replace(base, parametrization=name, hparams=point), corpus).validation_loss
            for power, point in rates.items()
        }
        return {power: math.inf if loss is None else loss for power, loss in by_power.items()}

    on_proxy = losses(proxy, "smupar")
    tuned = min(on_proxy, key=on_proxy.__getitem__)
    transferred = {name: losses(target, name) for name in ("smupar", "mup", "sp")}
    best = min(min(by_power.values()) for by_power in transferred.values())
    assert transferred["smupar"][tuned] < 1.08 * best
    assert transferred["mup"][tuned] > 1.3 * best
    assert transferred["sp"][tuned] > 1.3 * best


def test_a_trained_network_is_loaded_from_its_checkpoint(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    record = run(spec, corpus, checkpoint=tmp_path / "run.pt")
    network = load_network(spec, tmp_path / "run.pt")
    losses = []
    with torch.no_grad():
        for inputs, targets in corpus.validation_batches(2, 4, 8):
            losses.append(torch.nn.functional.cross_entropy(network(inputs).flatten(0, 1), targets.flatten()).item())
    assert sum(losses) / 2 == pytest.approx(record.validation_loss, rel=1e-6)


def test_loading_a_network_refuses_other_files(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_network(spec, tmp_path / "absent.pt")
    run(spec, corpus, checkpoint=tmp_path / "run.pt")
    with pytest.raises(InputError, match="belongs to run"):
        load_network(replace(spec, seed=99), tmp_path / "run.pt")


def test_a_sample_continues_the_prompt_the_same_way_every_time(
    byte_spec: RunSpec, corpus: TokenData, tmp_path: Path
) -> None:
    run(byte_spec, replace(corpus, vocab_size=256), checkpoint=tmp_path / "run.pt")
    network = load_network(byte_spec, tmp_path / "run.pt")
    text = sample(network, b"a prompt that is longer than the context", 12, seed=0)
    assert len(text) == 12
    assert sample(network, b"a prompt that is longer than the context", 12, seed=0) == text
    assert sample(network, b"a prompt that is longer than the context", 12, seed=1) != text
    assert len(sample(network, b"", 3, seed=0)) == 3


def test_only_byte_level_language_models_are_sampled(
    spec: RunSpec, digits_spec: RunSpec, corpus: TokenData, tmp_path: Path
) -> None:
    run(spec, corpus, checkpoint=tmp_path / "run.pt")
    other_vocabulary = load_network(spec, tmp_path / "run.pt")
    for network in (other_vocabulary, build(digits_spec)[0]):
        with pytest.raises(InputError, match="byte-level"):
            sample(network, b"a", 1, seed=0)
