from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from smupar_transfer.records import SCHEMA_VERSION, RunSpec, Tuned, read_tuned, write_tuned
from smupar_transfer.theory import InputError


def test_round_trip(tmp_path: Path, tuned: Tuned, mlp_run: RunSpec) -> None:
    path = tmp_path / "tuned.yaml"
    for point in (tuned, replace(tuned, proxy=mlp_run)):
        write_tuned(path, point)
        assert read_tuned(path) == point
        assert read_tuned(path).proxy.key == point.proxy.key


def test_keys_that_others_build_on(tmp_path: Path, tuned: Tuned) -> None:
    """The documented shape of ``tuned.yaml``: other programs read these names."""
    write_tuned(tmp_path / "tuned.yaml", tuned)
    content = yaml.safe_load((tmp_path / "tuned.yaml").read_text())
    assert {"hparams", "value", "study", "trial", "proxy"} <= set(content)
    assert content["schema"] == SCHEMA_VERSION
    assert content["hparams"] == {
        "learning_rate": 0.03,
        "init_std": 0.17,
        "input_multiplier": 5.2,
        "output_multiplier": 2.2,
        "weight_decay": 0.1,
        "init_scale": 1.0,
    }
    assert (content["value"], content["study"], content["trial"]) == (2.246, "proxy-64", 41)


def test_another_schema_is_refused(tmp_path: Path, tuned: Tuned) -> None:
    path = tmp_path / "tuned.yaml"
    write_tuned(path, tuned)
    path.write_text(path.read_text().replace(f"schema: {SCHEMA_VERSION}", "schema: 99"))
    with pytest.raises(InputError, match=r"^tuned=.*tuned.yaml: has schema 99"):
        read_tuned(path)


@pytest.mark.parametrize("key", ["hparams", "value", "study", "trial", "trials", "proxy"])
def test_a_missing_key_is_named(tmp_path: Path, tuned: Tuned, key: str) -> None:
    path = tmp_path / "tuned.yaml"
    write_tuned(path, tuned)
    content = yaml.safe_load(path.read_text())
    del content[key]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=f"{key}: missing"):
        read_tuned(path)


def test_a_missing_file_is_told_under_its_own_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^tuned=.*absent.yaml: cannot be read"):
        read_tuned(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("value", float("nan"), "is no loss"),
        ("value", float("inf"), "is no loss"),
        ("value", -1.0, "is no loss"),
        ("trial", -1, "must not be negative"),
        ("trials", 0, "must be at least 1"),
    ],
)
def test_what_no_search_can_have_found_is_refused(
    tmp_path: Path, tuned: Tuned, key: str, value: float, says: str
) -> None:
    path = tmp_path / "tuned.yaml"
    write_tuned(path, tuned)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**content, key: value}))
    with pytest.raises(InputError, match=rf"^{key}=.*{says}.*tuned\.yaml\)"):
        read_tuned(path)
    path.write_text(yaml.safe_dump(content))
    assert read_tuned(path) == tuned
