from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

import pytest

import smupar_transfer.records.spec as spec_module
from smupar_transfer.records import (
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MaskKind,
    MLPSpec,
    RunSpec,
    SparsitySpec,
    from_plain,
    to_plain,
)
from smupar_transfer.theory import SMUPAR, UPDATE_RULES, BaseHyperparameters, InputError, OptimizerSettings

GPT: dict[str, Any] = {"width": 64, "depth": 2, "head_dim": 16, "vocab_size": 256, "context": 32}
MLP: dict[str, Any] = {"width": 64, "depth": 2, "features": 64, "classes": 10}
BUDGET: dict[str, Any] = {"steps": 10, "batch_size": 2, "sequence_length": 8}
POSITIVE = [
    *(("model", GPTSpec, GPT, name) for name in GPT),
    *(("model", MLPSpec, MLP, name) for name in MLP),
    *(("budget", BudgetSpec, BUDGET, name) for name in (*BUDGET, "evaluations", "evaluation_batches")),
]


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(("group", "kind", "good", "name"), POSITIVE)
def test_sizes_below_one_are_refused_by_name(
    group: str, kind: Callable[..., object], good: dict[str, Any], name: str, value: int
) -> None:
    kind(**good)
    with pytest.raises(InputError, match=f"^{group}.{name}={value}: must be at least 1"):
        kind(**{**good, name: value})


def test_a_head_that_does_not_divide_the_width_names_a_width_that_works() -> None:
    with pytest.raises(InputError, match=r"^model.head_dim=24: does not divide width 64; try width 72$"):
        GPTSpec(**{**GPT, "head_dim": 24})
    GPTSpec(**{**GPT, "head_dim": 24, "width": 72})


def test_a_head_wider_than_the_network_is_told_its_own_width() -> None:
    with pytest.raises(InputError, match=r"^model.head_dim=256: .* try width 256$"):
        GPTSpec(**{**GPT, "head_dim": 256})


@pytest.mark.parametrize("ratio", [0.0, -1.0, 2.51, math.nan, math.inf])
def test_impossible_feed_forward_width(ratio: float) -> None:
    with pytest.raises(InputError, match=f"^model.mlp_ratio={ratio!r}: times width 64 is not a positive whole"):
        GPTSpec(**GPT, mlp_ratio=ratio)


def test_fractional_ratio_with_a_whole_width() -> None:
    assert GPTSpec(**GPT, mlp_ratio=2.5).mlp_ratio == 2.5


@pytest.mark.parametrize("density", [0.0, -0.25, 1.25, math.nan])
def test_impossible_density_is_told_as_the_sparsity_people_set(density: float) -> None:
    with pytest.raises(InputError, match=f"^target.sparsity={1 - density!r}: must lie in \\[0, 1\\); 0 is dense"):
        SparsitySpec(density)


@pytest.mark.parametrize(
    ("name", "value"),
    [("warmup_steps", -1), ("warmup_steps", 11), ("final_fraction", -0.1), ("final_fraction", 1.1)],
)
def test_impossible_schedules(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^budget.{name}={value}: must lie in \\[0, "):
        BudgetSpec(**{**BUDGET, name: value})


def test_schedules_at_their_edges() -> None:
    BudgetSpec(**BUDGET, warmup_steps=10, final_fraction=0.0)
    BudgetSpec(**BUDGET, warmup_steps=0, final_fraction=1.0)


def test_tokens_of_a_budget() -> None:
    assert BudgetSpec(steps=10, batch_size=3, sequence_length=7).tokens == 210
    assert BudgetSpec(steps=10, batch_size=3).tokens == 30


def test_sequences_longer_than_the_context_are_refused(gpt_run: RunSpec, mlp_run: RunSpec) -> None:
    with pytest.raises(InputError, match=r"^budget.sequence_length=65: is longer than model.context=64"):
        replace(gpt_run, budget=replace(gpt_run.budget, sequence_length=65))
    replace(mlp_run, budget=replace(mlp_run.budget, sequence_length=65))  # no context, nothing to outgrow


def test_an_unknown_parametrization_is_refused(gpt_run: RunSpec) -> None:
    with pytest.raises(InputError, match=r"^parametrization=ntk: is not one of sp"):
        replace(gpt_run, parametrization="ntk")


@pytest.mark.parametrize("base_width", [0, -64, 48])
def test_a_proxy_that_cannot_be_built_is_refused(gpt_run: RunSpec, base_width: int) -> None:
    """A base width is a width: it must be positive and hold whole heads, though the proxy is never built here."""
    with pytest.raises(InputError, match=r"^model\."):
        replace(gpt_run, base_width=base_width)


def test_derived_values(gpt_run: RunSpec) -> None:
    assert gpt_run.width_factor == 4.0
    assert gpt_run.table is SMUPAR
    assert gpt_run.base_model == replace(gpt_run.model, width=64)
    assert replace(gpt_run, hparams=BaseHyperparameters(2**-7, 0.1)).log2_learning_rate == -7.0


def test_key_of_one_run_never_changes(gpt_run: RunSpec) -> None:
    """Guards people's results: a run is found by its key, so another key orphans every record written so far.

    Where a change is wanted, raise SCHEMA_VERSION with it, then take the new literal.
    """
    assert gpt_run.key == "9234f508e39a2685"


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field of a specification that is not a dataclass itself."""
    for field in fields(value):
        item = getattr(value, field.name)
        if is_dataclass(item):
            yield from leaves(item, (*path, field.name))
        else:
            yield (*path, field.name), item


def with_leaf(value: Any, path: tuple[str, ...], leaf: Any) -> Any:
    name, *rest = path
    return replace(value, **{name: with_leaf(getattr(value, name), tuple(rest), leaf) if rest else leaf})


def other_values(path: tuple[str, ...], value: Any) -> list[Any]:
    """Values that differ from ``value`` by as little as the field allows, best first."""
    if path == ("parametrization",):
        return ["mup"]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, StrEnum):
        return [other for other in type(value) if other is not value]
    if isinstance(value, int):
        return [value + 1, value * 2, value - 1]
    if isinstance(value, float):
        return [math.nextafter(value, 0.0), value / 2]
    if path == ("sparsity", "mask"):
        return [name for name in MaskKind if name != value]
    if path == ("optimizer", "name"):
        return [name for name in UPDATE_RULES if name != value]
    if isinstance(value, str):
        return [value + "x"]
    assert value is None, path
    return [1.0]


def with_another(spec: RunSpec, path: tuple[str, ...], value: Any) -> RunSpec:
    for candidate in other_values(path, value):
        try:
            changed: RunSpec = with_leaf(spec, path, candidate)
        except InputError:
            continue
        return changed
    raise AssertionError(f"no other value for {path}")


OUTSIDE_THE_KEY = {("data", "path"), ("model", "kind")}  # where data lies; what the other fields of a model say too


@pytest.mark.parametrize("run", ["gpt_run", "mlp_run"])
def test_every_field_enters_the_key(run: str, request: pytest.FixtureRequest) -> None:
    """A field that did not would let two different runs share a record; a new field is covered by being there."""
    spec: RunSpec = request.getfixturevalue(run)
    keys: dict[tuple[str, ...], str] = {(): spec.key}
    for path, value in leaves(spec):
        if path not in OUTSIDE_THE_KEY:
            keys[path] = with_another(spec, path, value).key
    same = {key: [path for path in keys if keys[path] == key] for key in keys.values()}
    assert {key: paths for key, paths in same.items() if len(paths) > 1} == {}
    assert len(keys) > 30


def test_where_data_lies_does_not_enter_the_key(gpt_run: RunSpec) -> None:
    for path in (None, "/elsewhere"):
        moved = replace(gpt_run, data=replace(gpt_run.data, path=path))
        assert moved.key == gpt_run.key
    changed = replace(gpt_run, data=replace(gpt_run.data, sha256="ee" * 32))
    assert changed.key != gpt_run.key


def test_whole_numbers_and_floats_name_the_same_run(gpt_run: RunSpec) -> None:
    """Guards against 1 from a command line and 1.0 from a file training the same run twice."""
    whole = replace(gpt_run, hparams=BaseHyperparameters(1, 1, 5, 2, 0))
    exact = replace(gpt_run, hparams=BaseHyperparameters(1.0, 1.0, 5.0, 2.0, 0.0))
    assert whole.key == exact.key
    assert whole.key != replace(gpt_run, hparams=BaseHyperparameters(1.0, 1.0, 5.0, 2.0, 1.0)).key


def test_seeds_of_any_size_are_told_apart(gpt_run: RunSpec) -> None:
    """Guards against seeds being compared as floats, which cannot tell 2**53 from its neighbour."""
    assert replace(gpt_run, seed=2**53).key != replace(gpt_run, seed=2**53 + 1).key


def test_key_survives_a_file(gpt_run: RunSpec, mlp_run: RunSpec) -> None:
    for spec in (gpt_run, mlp_run):
        assert from_plain(json.loads(json.dumps(to_plain(spec))), RunSpec, "key", "file").key == spec.key


def test_key_looks_like_a_file_name(gpt_run: RunSpec) -> None:
    assert len(gpt_run.key) == 16
    assert set(gpt_run.key) <= set("0123456789abcdef")


def test_settings_that_say_the_same_share_a_key(gpt_run: RunSpec) -> None:
    spelt_out = replace(gpt_run, optimizer=OptimizerSettings(beta1=0.9, epsilon=1e-8))
    assert spelt_out.key == gpt_run.key


def test_data_of_a_run_may_have_no_bytes() -> None:
    assert DataSpec("digits", "0" * 64, 1, 1, bytes_per_token=None).bytes_per_token is None


def test_a_whole_ratio_may_be_written_as_a_whole_number() -> None:
    """Python 3.11 has no ``int.is_integer``."""
    shape = GPTSpec(width=64, depth=1, head_dim=16, vocab_size=9, context=8, mlp_ratio=2)
    assert shape == GPTSpec(width=64, depth=1, head_dim=16, vocab_size=9, context=8, mlp_ratio=2.0)


@pytest.mark.parametrize(
    ("name", "value"), [("width", 10**18), ("depth", 1_000_000), ("vocab_size", 10**12), ("context", 10**12)]
)
def test_a_network_that_nothing_could_hold_is_refused_at_once(name: str, value: int) -> None:
    """Guards against model.depth=1000000, which hung, and widths of 10^18, which overflowed."""
    with pytest.raises(InputError, match=f"^model.{name}={value}: must be at most"):
        GPTSpec(**{**GPT, "head_dim": 1, name: value})


@pytest.mark.parametrize(("name", "value"), [("width", 2**17), ("depth", 10_000), ("vocab_size", 10**6)])
def test_the_largest_networks_that_anybody_trained_are_taken(name: str, value: int) -> None:
    """The control of the test above."""
    assert getattr(GPTSpec(**{**GPT, "head_dim": 1, name: value}), name) == value


@pytest.mark.parametrize("ratio", [1e300, 1e12])
def test_a_feed_forward_ratio_that_nothing_could_hold_is_refused(ratio: float) -> None:
    with pytest.raises(InputError, match="exceeds"):
        GPTSpec(**{**GPT, "mlp_ratio": ratio})


def test_batches_and_validations_fit_into_a_machine() -> None:
    """Guards against an allocation of a petabyte, or an end by the memory killer."""
    with pytest.raises(InputError, match=r"^budget.batch_size=1000000000: times budget.sequence_length=1024 exceeds"):
        BudgetSpec(steps=1, batch_size=10**9, sequence_length=1024)
    with pytest.raises(InputError, match=r"^budget.evaluation_batches=1000000000: times 32 tokens exceeds"):
        BudgetSpec(steps=1, batch_size=32, evaluation_batches=10**9)
    assert BudgetSpec(steps=10**6, batch_size=1024, sequence_length=8192).tokens_per_step == 2**23


@pytest.mark.parametrize("most", [1, 1_000])
def test_keys_do_not_depend_on_what_was_named_before(
    gpt_run: RunSpec, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are remembered by identity: 1 and true are equal, and two runs that differ in it have two keys."""
    monkeypatch.setattr(spec_module, "MOST_CONTENTS", most)
    model = gpt_run.model
    assert isinstance(model, GPTSpec)
    biases: tuple[Any, ...] = (True, 1, False)
    runs = [replace(gpt_run, model=replace(model, bias=bias)) for bias in biases]
    assert runs[0] == runs[1]
    keys = [run.key for run in runs]
    assert len({*keys}) == 3
    again = [replace(run, seed=run.seed) for run in reversed(runs)]
    assert [run.key for run in reversed(again)] == keys
    assert len(spec_module._CONTENTS) <= 1_000
