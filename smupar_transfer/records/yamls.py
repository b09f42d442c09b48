"""YAML files with a schema version: tuned points and recipes; and what any YAML file of a person's is checked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from smupar_transfer.records.file_kinds import MADE_BY, FileKind, refuse_other
from smupar_transfer.records.files import from_plain, to_plain, write_atomically
from smupar_transfer.records.reading import LARGEST_BY_HAND, read_text
from smupar_transfer.theory import InputError, shown, shown_text

T = TypeVar("T")

MAXIMUM_VALUES = 100_000
"""That a file may hold once its aliases are written out: ten lines can stand for 10^9 of them."""
MAXIMUM_DIGITS = 30
"""Of a whole number: no quantity here is larger, and Python refuses to read or print the largest ones."""
TAG = "tag:yaml.org,2002:"


class PlainLoader(yaml.SafeLoader):
    """YAML without tags that run code, and without dates: a study may be called 2024-01-02."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{TAG}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def dump_yaml(value: Any) -> str:
    """Plain data as YAML, in the order that it has."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def write_yaml(path: Path, value: Any, schema: int, heading: str, key: str) -> None:
    """Write a dataclass as YAML, behind a comment line and its schema version.

    Raises:
        InputError: the file cannot be written.
    """
    body = dump_yaml({"schema": schema, **to_plain(value)})
    write_atomically(path, f"# {heading}\n{body}", key)


def read_yaml(path: Path, kind: type[T], schema: int, key: FileKind) -> T:
    """Read what ``write_yaml`` wrote; YAML tags are refused, nothing is executed.

    Args:
        path: The file to read.
        kind: The dataclass that the file describes.
        schema: The version of the file's format that can be read.
        key: The configuration key that led here, which tells what kind of file is expected.

    Raises:
        InputError: the file cannot be read, is of another kind, is no YAML, has another schema version, or does not
            describe a ``kind``.
    """
    refuse_other(path, key)
    content = load_yaml(read_text(path, key, MADE_BY.get(key, ""), LARGEST_BY_HAND), key, path)
    if not isinstance(content, dict):
        raise InputError(key, str(path), "is not a mapping")
    version = content.pop("schema", None)
    if version != schema:
        problem = f"has schema {shown(version)}, this version reads schema {schema}"
        raise InputError(key, str(path), problem, "make it anew")
    return from_plain(content, kind, key, path)


def load_yaml(text: str, key: str, path: Path) -> Any:
    """Plain data from YAML.

    Args:
        text: The content of the file.
        key: The configuration key that led here, for the message.
        path: The file that the text came from, for the message.

    Raises:
        InputError: the text is no YAML, has tags that need code, a value that cannot be what its tag says, a key twice,
            or more values or digits than anything here needs; the message is one line.
    """
    try:
        return _document(text)
    except RecursionError:
        raise InputError(key, str(path), "is not plain YAML: it is nested too deeply") from None
    except Exception as error:  # beside YAMLError, whatever int(), float() and dictionaries raise
        reason = shown_text(" ".join(str(error).split()))
        raise InputError(key, str(path), f"is not plain YAML: {reason}") from error


def _document(text: str) -> Any:
    loader = PlainLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Check(loader).size(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Check:
    """Looks at the nodes of a document, each once, before it is built."""

    def __init__(self, loader: PlainLoader) -> None:
        self.loader = loader
        self.sizes: dict[int, int] = {}
        self.open: set[int] = set()

    def size(self, node: Node) -> int:
        """Values in a node with all aliases written out.

        Raises:
            ValueError: see ``load_yaml``.
        """
        if id(node) in self.open:
            raise ValueError(f"{_line(node)} a value contains itself")
        if id(node) not in self.sizes:  # an alias is the same node again: counted once, added wherever it stands
            self.open.add(id(node))
            self.sizes[id(node)] = 1 + sum(self.size(child) for child in self._children(node))
            self.open.remove(id(node))
        if self.sizes[id(node)] > MAXIMUM_VALUES:
            raise ValueError(f"{_line(node)} aliases stand for more than {MAXIMUM_VALUES:,} values")
        return self.sizes[id(node)]

    def _children(self, node: Node) -> list[Node]:
        if isinstance(node, ScalarNode):
            self._check_scalar(node)
            return []
        if isinstance(node, MappingNode):
            names = set()
            for child in (key for key, _ in node.value if isinstance(key, ScalarNode)):
                # PyYAML takes the last of two equal keys without a word
                if (child.tag, child.value) in names:
                    raise ValueError(f"{_line(child)} {shown_text(child.value)} stands there twice")
                names.add((child.tag, child.value))
            return [child for pair in node.value for child in pair]
        return list(node.value)

    def _check_scalar(self, node: ScalarNode) -> None:
        name = node.tag.removeprefix(TAG)
        if name == "int" and len(node.value) > MAXIMUM_DIGITS:
            raise ValueError(f"{_line(node)} a whole number of {len(node.value):,} digits")
        try:
            # built here for the error alone, since int() and float() do not know the line
            self.loader.construct_object(node)
        except yaml.YAMLError:
            raise
        except Exception:
            raise ValueError(f"{_line(node)} {shown(node.value)} is no {name}") from None


def _line(node: Node) -> str:
    return f"line {node.start_mark.line + 1}:"
