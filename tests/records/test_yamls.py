from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.records import Activation, FileKind, GPTSpec, SparsitySpec, load_yaml
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import InputError

GOOD = SparsitySpec(0.125)


@pytest.fixture
def tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short path, as messages are cut where they would be too long for a line."""
    monkeypatch.chdir(tmp_path)
    return Path()


def refusal(path: Path, schema: int = 3) -> str:
    with pytest.raises(InputError) as caught:
        read_yaml(path, SparsitySpec, schema, FileKind.RECIPE)
    message = str(caught.value)
    assert message.startswith(f"recipe={path}") or f"(in {path})" in message
    assert "\n" not in message
    return message


def test_round_trip_behind_heading_and_schema(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    write_yaml(path, GOOD, 3, "A heading.", "recipe")
    assert path.read_text() == "# A heading.\nschema: 3\ndensity: 0.125\nmask: random\n"
    assert read_yaml(path, SparsitySpec, 3, FileKind.RECIPE) == GOOD


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


def bomb() -> str:
    """Ten lines that stand for 9^10 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 9)}]" for index in range(1, 10)]
    return "\n".join([*lines, "schema: 3", ""])


BROKEN = {
    "a month too many": ("schema: 3\ndensity: 2024-13-45\n", "density: '2024-13-45' is not a number"),
    "a tag that its value denies": ("density: !!int x\n", "line 1: 'x' is no int"),
    "no float": ("density: !!float x\n", "line 1: 'x' is no float"),
    "no timestamp": ("density: !!timestamp x\n", "line 1: 'x' is no timestamp"),
    "no month": ("density: !!timestamp 2024-13-45\n", "line 1: '2024-13-45' is no timestamp"),
    "no truth value": ("density: !!bool maybe\n", "line 1: 'maybe' is no bool"),
    "no binary": ("density: !!binary 'ä'\n", "is not plain YAML"),
    "5,000 digits": (f"schema: 3\ndensity: {'9' * 5000}\n", "line 2: a whole number of 5,000 digits"),
    "hexadecimal digits": (f"density: 0x{'f' * 5000}\n", "line 1: a whole number of 5,002 digits"),
    "schema of many digits": (f"schema: {'9' * 5000}\n", "line 1: a whole number"),
    "deep nesting": (f"density: {'[' * 5000}{']' * 5000}\n", "is nested too deeply"),
    "deep nesting, cut short": (f"density: {'[' * 5000}", "is nested too deeply"),
    "keys that are numbers": ("schema: 3\ndensity: 0.5\n1: 2\n2.5: 3\nnull: 4\n", "1, 2.5, None: unknown"),
    "a key that is a list": ("schema: 3\n? [a, b]\n: 1\n", "is not plain YAML"),
    "an alias bomb": (bomb(), "aliases stand for more than 100,000 values"),
    "itself inside": ("density: &a [*a]\n", "line 1: a value contains itself"),
    "a key twice": ("density: 0.5\ndensity: 0.25\n", "line 2: density stands there twice"),
    "two documents": ("density: 0.5\n---\ndensity: 0.25\n", "is not plain YAML"),
    "a mapping for a number": ("schema: 3\ndensity: {a: 1}\n", "density: {'a': 1} is not a number"),
    "a megabyte for a number": (f"schema: 3\ndensity: {'x' * 200_000}\n", "is not a number"),
    "a megabyte for a choice": (f"schema: 3\ndensity: 0.5\nmask: {'x' * 200_000}\n", "is not one of random"),
    "a megabyte for a key": (f"schema: 3\ndensity: 0.5\n? {'x' * 200_000}\n: 1\n", ": unknown"),
    "a hundred keys": ("schema: 3\n" + "".join(f"k{i}: 1\n" for i in range(100)), "and 90 others: unknown"),
    "lines in a word": ('schema: 3\ndensity: "a\\nb\\nc"\n', "is not a number"),
    "control characters": ("density: \x00\n", "is not plain YAML"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_in_a_file_is_told_in_one_short_line(tmp_path: Path, name: str) -> None:
    """Each of these once ended in a traceback, in a message of megabytes, or, a key twice, in a wrong number."""
    content, says = BROKEN[name]
    path = tmp_path / "file.yaml"
    path.write_text(content, encoding="utf-8")
    message = refusal(path)
    assert says in message
    assert len(message) < 700


def test_aliases_and_large_numbers_as_people_use_them_are_read(tmp_path: Path) -> None:
    """The control of the test above."""
    path = tmp_path / "file.yaml"
    path.write_text("schema: 3\ndensity: &a 0.125\nmask: random\n")
    assert read_yaml(path, SparsitySpec, 3, FileKind.RECIPE) == GOOD
    assert load_yaml("a: &a [1, 2]\nb: *a\nc: 2024-01-02\nd: 123456789012345678901234567890\n", "key", path) == {
        "a": [1, 2],
        "b": [1, 2],
        "c": "2024-01-02",
        "d": 123456789012345678901234567890,
    }
    assert load_yaml("# nothing", "key", path) is None
