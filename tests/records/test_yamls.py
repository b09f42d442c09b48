from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.records import Activation, GPTSpec, SparsitySpec
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import InputError

GOOD = SparsitySpec(0.125)


def refusal(path: Path, schema: int = 3) -> str:
    with pytest.raises(InputError) as caught:
        read_yaml(path, SparsitySpec, schema, "recipe")
    message = str(caught.value)
    assert message.startswith(f"recipe={path}")
    assert "\n" not in message
    return message


def test_round_trip_behind_heading_and_schema(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    write_yaml(path, GOOD, 3, "A heading.", "recipe")
    assert path.read_text() == "# A heading.\nschema: 3\ndensity: 0.125\nmask: random\n"
    assert read_yaml(path, SparsitySpec, 3, "recipe") == GOOD


def test_order_of_fields_is_kept(tmp_path: Path) -> None:
    """People read these files from the top: the order is the dataclass's, not the alphabet's."""
    path = tmp_path / "file.yaml"
    write_yaml(path, GPTSpec(64, 2, 16, 256, 32, activation=Activation.SWIGLU), 1, "x", "recipe")
    keys = [line.partition(":")[0] for line in path.read_text().splitlines()[1:]]
    assert keys[:4] == ["schema", "width", "depth", "head_dim"]


@pytest.mark.parametrize("schema", [2, 4])
def test_another_schema_is_refused_with_both_numbers(tmp_path: Path, schema: int) -> None:
    path = tmp_path / "file.yaml"
    write_yaml(path, GOOD, schema, "x", "recipe")
    assert f"has schema {schema}, this version reads schema 3" in refusal(path)


def test_a_file_without_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("density: 0.5\n")
    assert "has schema None" in refusal(path)


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "just text\n", "3\n", "# only a comment\n"])
def test_something_else_than_a_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(content)
    assert "is not a mapping" in refusal(path)


@pytest.mark.parametrize("content", ["density: [1\n", "a: b: c\n", "\tdensity: 1\n", "density: *nothing\n"])
def test_broken_yaml_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(content)
    assert "is not plain YAML" in refusal(path)


def test_tags_are_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    """Guards against loading a file someone sent being the same as running it."""
    victim, path = tmp_path / "executed", tmp_path / "file.yaml"
    path.write_text(f"schema: 3\ndensity: !!python/object/apply:os.mkdir ['{victim}']\n")
    assert "python/object/apply" in refusal(path)
    assert not victim.exists()


def test_a_missing_file_is_told_with_its_key(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "absent.yaml")


def test_a_key_at_fault_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("schema: 3\ndensity: 0.5\nmaks: random\n")
    assert "maks" in refusal(path)
