"""Checkpoints in parts: any number of processes goes on from them, and nothing in them runs."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

from smupar_transfer.records import RunRecord
from smupar_transfer.theory import InputError
from smupar_transfer.training import ALONE, Execution, TokenData, load_network, read_checkpoint, run
from smupar_transfer.training.checkpoint import DamagedError, resume
from smupar_transfer.training.checkpoint_files import CheckpointFiles
from smupar_transfer.training.distributed.parts import REST, TABLE
from smupar_transfer.training.runs import open_session
from tests.training.distributed.cases import corpus as make_corpus
from tests.training.distributed.cases import spec_of

Seen = list[dict[str, Any]]
SPEC = spec_of("fsdp, compact weights")
CSR = Execution(backend="csr")


@pytest.fixture
def parts(seen: Seen, folder: Path, tmp_path: Path) -> Path:
    """The checkpoint that two processes wrote after step 10, and the one before it."""
    shutil.copytree(folder / "parts", tmp_path / "parts")
    return tmp_path / "parts" / "run.pt"


@pytest.mark.parametrize("backend", ["csr", "masked"])
def test_one_process_goes_on_with_the_weights_of_two_to_the_last_bit(seen: Seen, parts: Path, backend: str) -> None:
    session, _ = open_session(SPEC, make_corpus(), Execution(backend=backend), resume(CheckpointFiles(parts), SPEC.key))
    assert session.progress.step == 10
    layers = dict(session.network.named_modules())
    of_two = seen[0]["parts"]
    for name, tensor in session.network.state_dict().items():
        layer: Any = layers[name.rpartition(".")[0]]
        expected = of_two["weights"][name]
        if name.endswith("weight") and hasattr(layer, "in_layout"):
            expected = layer.in_layout(expected)
        assert torch.equal(tensor, expected), name
    if backend == "csr":
        rows = session.optimizer.state_dict()["state"]
        for (index, name), value in of_two["moments"].items():
            assert torch.equal(rows[index][name], value), (index, name)


def test_a_run_goes_on_from_two_processes_to_one_and_ends_like_an_undisturbed_one(
    parts: Path, corpus: TokenData
) -> None:
    whole = run(SPEC, corpus, CSR)
    resumed = run(SPEC, corpus, CSR, checkpoint=parts)
    assert losses(resumed) == pytest.approx(losses(whole), rel=2e-5)
    assert resumed.environment.processes == 1
    assert parts.is_file(), "one process writes a file, in the place of a folder"


def test_a_run_goes_on_from_one_process_to_two(seen: Seen, corpus: TokenData) -> None:
    """The process alone computed densely, and the two keep no zeros."""
    whole = run(SPEC, corpus, CSR)
    for process in seen:
        assert losses(process["resumed from alone"]) == pytest.approx(losses(whole), rel=2e-5)


def test_two_processes_have_the_weights_of_one_to_the_last_bit(seen: Seen, folder: Path) -> None:
    network = load_network(SPEC, folder / "whole" / "run.pt", CSR).state_dict()
    assert all(torch.equal(tensor, network[name]) for name, tensor in seen[1]["whole"]["weights"].items())
    assert seen[0]["from alone"]["step"] == 10


def losses(record: RunRecord) -> list[float]:
    return [evaluation.validation_loss or 0.0 for evaluation in record.history]


def test_both_generations_of_parts_are_kept_and_nothing_else(seen: Seen, folder: Path) -> None:
    assert sorted(path.name for path in (folder / "parts").iterdir()) == ["run.1.pt", "run.pt"]
    steps = [read_checkpoint(path)["progress"]["step"] for path in CheckpointFiles(folder / "parts/run.pt").existing()]
    assert steps == [10, 5]


def test_weights_are_loaded_from_parts(parts: Path, seen: Seen) -> None:
    network = load_network(SPEC, parts, CSR).state_dict()
    assert torch.equal(network["norm.weight"], seen[0]["parts"]["weights"]["norm.weight"])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["__0_0.distcp", "__1_0.distcp", TABLE, REST])
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_damaged_part_costs_no_more_than_a_generation(
    parts: Path, corpus: TokenData, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], None]
) -> None:
    damage(parts / name)
    checkpoint = resume(CheckpointFiles(parts), SPEC.key, ALONE)
    assert checkpoint is not None
    assert checkpoint.content["progress"]["step"] == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"smupar: checkpoint={parts}: cannot be read: ")
    assert line.endswith("; going on from run.1.pt")


def test_an_undamaged_one_is_read(parts: Path) -> None:
    checkpoint = resume(CheckpointFiles(parts), SPEC.key, ALONE)
    assert checkpoint is not None
    assert checkpoint.content["progress"]["step"] == 10


def resigned(parts: Path, table: bytes) -> None:
    """Another table of contents, with the checksum that belongs to it."""
    (parts / TABLE).write_bytes(table)
    rest = torch.load(parts / REST, weights_only=True)
    rest["sums"][TABLE] = hashlib.sha256(table).hexdigest()
    torch.save(rest, parts / REST)


def test_nothing_in_a_table_of_contents_is_executed(parts: Path, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    table = pickle.loads((parts / TABLE).read_bytes())
    table.planner_data = Attack()
    resigned(parts, pickle.dumps(table))
    with pytest.raises(DamagedError, match="which is no part of a table of contents"):
        read_checkpoint(parts)
    assert not (tmp_path / "executed").exists()


def test_what_is_no_tensor_is_not_unpickled(parts: Path) -> None:
    """``torch.distributed.checkpoint`` would load it without asking what it is."""
    table = pickle.loads((parts / TABLE).read_bytes())
    table.state_dict_metadata["network/norm.weight"] = BytesStorageMetadata()
    resigned(parts, pickle.dumps(table))
    with pytest.raises(DamagedError, match="BytesStorageMetadata, which is no part of a table of contents"):
        read_checkpoint(parts)


@pytest.mark.parametrize("fault", ["elsewhere", "larger", "other"])
def test_a_table_that_leads_elsewhere_is_refused(parts: Path, fault: str) -> None:
    table = pickle.loads((parts / TABLE).read_bytes())
    first = next(iter(table.storage_data.values()))
    if fault == "elsewhere":
        first.relative_path = "../run.1.pt/__0_0.distcp"
    if fault == "larger":
        table.state_dict_metadata["network/norm.weight"].size = torch.Size([10**12])
    resigned(parts, pickle.dumps(["x"] if fault == "other" else table))
    said = {"elsewhere": "leads to other files", "larger": "lists more than there is", "other": "no table of contents"}
    with pytest.raises(DamagedError, match=said[fault]):
        read_checkpoint(parts)


def test_a_rest_that_leads_elsewhere_is_refused(parts: Path) -> None:
    rest = torch.load(parts / REST, weights_only=True)
    rest["sums"]["../run.1.pt/rest.pt"] = rest["sums"].pop("__0_0.distcp")
    torch.save(rest, parts / REST)
    with pytest.raises(DamagedError, match="is damaged"):
        read_checkpoint(parts)


def test_parts_without_a_tensor_are_refused_in_a_line(parts: Path, corpus: TokenData) -> None:
    table = pickle.loads((parts / TABLE).read_bytes())
    del table.state_dict_metadata["optimizer/0/exp_avg"]
    resigned(parts, pickle.dumps(table))
    with pytest.raises(InputError, match="does not fit the network: exp_avg is missing in the optimizer's state"):
        run(SPEC, corpus, CSR, checkpoint=parts)
