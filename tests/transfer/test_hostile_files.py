"""Files of plans that are damaged, foreign or made to do harm: one clear error each."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan
from tests.transfer.networks import planned


def _file(folder: Path) -> Path:
    own = torch.rand(32, 32, generator=torch.Generator().manual_seed(0)) < 0.3
    made, _ = planned(masks={"blocks.0.weight": own})
    path = folder / "plan.json"
    made.save(path)
    return path


def _refused(path: Path, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern) as caught:
        Plan.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[]", "is no plan"),
        (b"null", "is no plan"),
        (b"{}", "is no plan"),
        (b'{"plan": 2}', "is no plan of this version"),
        (b'{"plan": 1}', "missing"),
        (b'{"plan": 1, "rows": {}}', "rows"),
        (b"\xff\xfe", "is no text"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"plan": NaN}', "is no JSON"),
        (b"9" * 100_000, "is no JSON"),
        (b"PK\x03\x04", "is no JSON"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_foreign_files_are_refused(text: bytes, pattern: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(text)
    _refused(tmp_path / "plan.json", pattern)


def test_files_that_are_absent_or_folders_are_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "none.json", r"cannot be read.*plan\.save writes one")
    _refused(tmp_path, "cannot be read")


def test_files_that_are_cut_off_are_refused_wherever_they_are(tmp_path: Path) -> None:
    path = _file(tmp_path)
    text = path.read_text()
    for part in range(1, 20):
        path.write_text(text[: len(text) * part // 20])
        _refused(path, "is no JSON")


def _set(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


def _drop(*keys: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


MASK = ("own_masks", "blocks.0.weight")


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (_drop("rows"), "missing"),
        (_set("rows", to=[]), "parts of different plans"),
        (_drop("rows", 0), "parts of different plans"),
        (_set("rows", 0, "role", to="output"), "is not one of"),
        (_set("rows", 0, "m_d", to="2"), "is not a number"),
        (_set("rows", 0, "m_d", to=True), "is not a number"),
        (_set("rows", 0, "shape", 0, to=-32), "parts of different plans"),
        (_set("rows", 0, "odd", to=1), "unknown"),
        (_set("rows", 1, "name", to="first.weight"), "parts of different plans"),
        (_set("hparams", "learning_rate", to=-1.0), "must be finite and not negative"),
        (_set("optimizer", "name", to="adam"), "is not one of"),
        (_drop("initial", "first.weight"), "parts of different plans"),
        (_drop(*MASK), "parts of different plans"),
        (_drop("masks", "blocks.0.weight"), "parts of different plans"),
        (_set("masks", "blocks.0.weight", "shape", to=[32, 33]), "parts of different plans"),
        (_set("masks", "blocks.1.weight", "order", to=[0, 0]), "parts of different plans"),
        (_set("masks", "blocks.1.weight", "fan_in", to=0), "parts of different plans"),
        (_set(*MASK, to="no base 64!"), "cannot be read"),
        (_set(*MASK, to=base64.b64encode(b"no zlib").decode()), "cannot be read"),
        (_set(*MASK, to=base64.b64encode(zlib.compress(bytes(127))).decode()), "does not fit its shape"),
        (_set(*MASK, to=base64.b64encode(zlib.compress(bytes(129))).decode()), "does not fit its shape"),
        (_set(*MASK, to=""), "does not fit its shape"),
    ],
)
def test_files_whose_parts_are_wrong_are_refused(change: Callable[[Any], None], pattern: str, tmp_path: Path) -> None:
    path = _file(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    _refused(path, pattern)


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = _file(tmp_path)
    content = json.loads(path.read_text())
    compressor = zlib.compressobj(9)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(64)) + compressor.flush()
    content["own_masks"]["blocks.0.weight"] = base64.b64encode(bomb).decode()
    path.write_text(json.dumps(content))
    start = time.process_time()
    _refused(path, "does not fit its shape")
    assert time.process_time() - start < 1
    content["rows"] = [dict(row, shape=[1 << 20, 1 << 20]) for row in content["rows"]]
    content["masks"]["blocks.0.weight"].update(shape=[1 << 20, 1 << 20], fan_in=1 << 20)
    del content["masks"]["blocks.1.weight"]
    content["own_masks"]["blocks.0.weight"] = base64.b64encode(bomb[:10_000]).decode()
    path.write_text(json.dumps(content))
    _refused(path, "does not fit its shape")


def test_plans_that_cannot_be_written_are_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = _file(tmp_path)
    before = path.read_bytes()
    made, _ = planned()
    with pytest.raises(InputError, match="cannot be written"):
        made.save(path / "below.json")
    assert path.read_bytes() == before
