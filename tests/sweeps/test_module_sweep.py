"""Stability sweeps from Python, on a task that is given as functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer import StabilitySweep, stability_sweep
from smupar_transfer.model import load_task, task_of
from smupar_transfer.records import Design, ModuleSpec, RunRecord
from smupar_transfer.sweeps.module_sweep import judged_sweeps
from smupar_transfer.theory import InputError
from smupar_transfer.training import OwnBatches, run
from tests.statistics.conftest import make_record

__all__ = ["make_record"]

TASK = """
import torch
from torch import nn

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(512, 8, generator=GENERATOR)
LABELS = (INPUTS[:, :3].prod(1) > 0).long() + (INPUTS[:, 3] > 0.5).long()


def make_model(width):
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(8, width), nn.ReLU(), *hidden, nn.Linear(width, 3))


def batches(split, seed):
    if split == "validation":
        yield INPUTS[:128], LABELS[:128]
        return
    generator = torch.Generator().manual_seed(seed)
    while True:
        chosen = torch.randint(128, 512, (32,), generator=generator)
        yield INPUTS[chosen], LABELS[chosen]


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])
"""
NAMES: dict[str, Any] = {"__name__": "a_task"}
exec(compile(TASK, "task", "exec"), NAMES)
SMALL = {"widths": (32,), "densities": (1.0, 0.25), "base_width": 8, "steps": 10, "seeds": (0, 1)}
ASKED = {**SMALL, "log2_values": (-9.0, -3.0, 1.0), "parametrizations": ("mup", "smupar")}


def sweep(**asked: Any) -> StabilitySweep:
    given = {name: asked.pop(name, NAMES[name]) for name in ("make_model", "batches", "loss")}
    return stability_sweep(given["make_model"], given["batches"], loss=given["loss"], **{**ASKED, **asked})


@cache
def full() -> StabilitySweep:
    return sweep(adaptive=False)


def places(found: StabilitySweep) -> list[tuple[str, int, float]]:
    cells = [summary.cell for summary in found.cells["sparsity"]]
    return [(cell.parametrization, cell.width, cell.density) for cell in cells]


def test_there_is_an_optimum_for_every_cell_and_the_proxy_and_a_drift_for_every_family() -> None:
    assert sorted(places(full())) == sorted(
        (name, width, density) for name in ("mup", "smupar") for width, density in ((8, 1.0), (32, 1.0), (32, 0.25))
    )
    assert [summary.family.parametrization for summary in full().families["sparsity"]] == ["mup", "smupar"]
    assert all(summary.zero_shot is not None for summary in full().cells["sparsity"]), "the proxy is among the cells"
    assert len(full().records["sparsity"]) == 2 * 3 * 7 * 2


def test_dense_runs_that_compute_the_same_are_trained_once() -> None:
    copies = [record for record in full().records["sparsity"] if record.same_as is not None]
    assert {(record.spec.parametrization, record.spec.sparsity.density) for record in copies} == {("smupar", 1.0)}
    assert len(copies) == 2 * 7 * 2


def test_a_run_is_the_run_of_a_task_file_with_the_same_functions(tmp_path: Path) -> None:
    file = tmp_path / "task.py"
    file.write_text(TASK, encoding="utf-8")
    task = load_task(file)
    (record,) = (
        record
        for record in full().records["sparsity"]
        if (record.spec.parametrization, record.spec.sparsity.density, record.spec.seed) == ("smupar", 0.25, 1)
        and record.spec.log2_learning_rate == -6
    )
    data = OwnBatches.of(task)
    spec = replace(record.spec, model=ModuleSpec(32, task.sha256, task.name), data=data.spec)
    assert run(spec, data).validation_loss == record.validation_loss


def test_an_adaptive_sweep_runs_less_and_finds_the_same_best_points() -> None:
    adaptive = sweep()
    assert places(adaptive) == places(full())
    assert len(adaptive.records["sparsity"]) < len(full().records["sparsity"])
    best = [[summary.optimum.grid_log2_value for summary in each.cells["sparsity"]] for each in (adaptive, full())]
    assert best[0] == best[1]


def test_both_axes_are_looked_at_where_both_vary() -> None:
    told: list[RunRecord] = []
    found = sweep(
        widths=(8, 16), log2_values=(-7, -3, 2), adaptive=False, parametrizations=["sp"], steps=2, watch=told.append
    )
    assert set(found.families) == {"width", "sparsity"}
    assert found.verdict("sp") in ("stays put", "likely stays put", "open", "moves")
    assert len(told) == sum(map(len, found.records.values()))


def test_another_hyperparameter_may_be_swept() -> None:
    asked = {"swept": "init_scale", "log2_values": (-2, 2, 2), "hparams": {"learning_rate": 2.0**-6}}
    found = sweep(adaptive=False, parametrizations=["smupar"], steps=2, **asked)
    assert {record.spec.hparams.learning_rate for record in found.records["sparsity"]} == {2.0**-6}
    assert {record.spec.hparams.init_scale for record in found.records["sparsity"]} == {0.25, 1.0, 4.0}


@pytest.fixture
def parabolas(make_record: Callable[..., RunRecord]) -> Callable[[dict[tuple[str, float], float]], StabilitySweep]:
    """What a sweep says whose runs have parabolas around given optima."""

    def made(optima: dict[tuple[str, float], float], seeds: Sequence[int] = (0, 1, 2)) -> StabilitySweep:
        records = [
            make_record(name, sparsity, rate, 2.0 + 0.1 * (rate - optimum) ** 2 + 0.01 * seed, seed)
            for (name, sparsity), optimum in optima.items()
            for rate in range(-8, -1)
            for seed in seeds
        ]
        return judged_sweeps({"sparsity": (Design(axis="sparsity"), records)})

    return made


def test_an_optimum_that_moves_is_told_from_one_that_stays(
    parabolas: Callable[[dict[tuple[str, float], float]], StabilitySweep],
) -> None:
    optima = {("sp", 0.0): -6.0, ("sp", 0.75): -3.0, ("smupar", 0.0): -5.0, ("smupar", 0.75): -4.8}
    found = parabolas(optima)
    assert found.verdict("smupar") == "stays put"
    assert found.verdict("sp") == "moves"
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["SP", "SμPar"]
    assert all(line.endswith(word) for line, word in zip(lines[1:], ("moves", "stays put"), strict=True))
    assert "3.00 [3.00, 3.00]" in lines[1]
    assert max(map(len, lines)) <= 100


def test_one_seed_leaves_it_open() -> None:
    found = sweep(seeds=[0], adaptive=False, parametrizations=["smupar"])
    assert found.verdict("smupar") == "open"


def test_nothing_outside_changes() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = sweep(log2_values=(-6, -4, 1), adaptive=False, parametrizations=["smupar"], steps=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    model = found.records["sparsity"][0].spec.model
    assert isinstance(model, ModuleSpec)
    with pytest.raises(InputError, match=r"model\.factory"):  # the functions are forgotten
        task_of(model.sha256)


def _broken(model: nn.Module, batch: object) -> Tensor:
    raise ZeroDivisionError("no batch")


def _nothing(split: str, seed: int) -> Iterator[object]:
    yield from ()


def _tensors(split: str, seed: int) -> Iterator[Tensor]:
    yield torch.zeros(2, 8)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"widths": (8,), "densities": (1.0,)}, r"widths=\[8\]: vary nothing"),
        ({"widths": ()}, r"widths=\[\]: is empty"),
        ({"densities": ()}, r"densities=\[\]: is empty"),
        ({"densities": (1.0, 0.0)}, r"densities=0\.0: must lie in \(0, 1\]"),
        ({"swept": "init_std"}, "swept=init_std: is not one of learning_rate"),
        ({"parametrizations": ("smupar", "nup")}, "parametrizations=nup: is not one of"),
        ({"parametrizations": ()}, r"parametrizations=\[\]: is empty"),
        ({"seeds": (0, 0)}, r"seeds=\[0, 0\]: is empty or names something twice"),
        ({"hparams": {"learning_rate": 0.1}}, "hparams=learning_rate: is what is swept"),
        ({"hparams": {"lr": 0.1}}, "hparams=lr: is not one of"),
        ({"hparams": {"weight_decay": math.nan}}, "weight_decay=nan"),
        ({"log2_values": (-2, -12, 1)}, "log2_values=.* are not first, last and step"),
        ({"log2_values": (-12, -2, 0)}, "log2_values=.* are not first, last and step"),
        ({"log2_values": (-12, -2, 3)}, "log2_values=.* are not first, last and step"),
        ({"log2_values": (-2000, -2, 1)}, "log2_values=.* are not first, last and step"),
        ({"log2_values": (math.nan, -2, 1)}, "log2_values=.* are not first, last and step"),
        ({"steps": 0}, r"budget\.steps=0"),
        ({"optimizer": "adamww"}, "adamww"),
        ({"make_model": lambda width: None}, "make_model=.*gives NoneType, not an nn.Module"),
        ({"loss": _broken}, "make_model=.*loss fails: ZeroDivisionError: no batch"),
        ({"loss": None, "batches": _tensors}, "loss=Sequential: gives no loss by itself"),
        ({"batches": _nothing}, "gives none"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_a_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        sweep(**asked)
    assert "\n" not in str(refused.value)


def test_a_parametrization_that_was_not_run_has_no_verdict() -> None:
    with pytest.raises(InputError, match="parametrization=sp: was not run; there are mup, smupar"):
        full().verdict("sp")
