"""YAML files with a schema version: tuned points and recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

from smupar_transfer.records.files import from_plain, read_text, to_plain, write_atomically
from smupar_transfer.theory import InputError

T = TypeVar("T")


def write_yaml(path: Path, value: Any, schema: int, heading: str, key: str) -> None:
    """Write a dataclass as YAML, behind a comment line and its schema version.

    Raises:
        InputError: the file cannot be written.
    """
    body = yaml.safe_dump({"schema": schema, **to_plain(value)}, sort_keys=False, allow_unicode=True)
    write_atomically(path, f"# {heading}\n{body}", key)


def read_yaml(path: Path, kind: type[T], schema: int, key: str) -> T:
    """Read what ``write_yaml`` wrote; YAML tags are refused, nothing is executed.

    Raises:
        InputError: the file cannot be read, is no YAML, has another schema version, or does not describe a ``kind``.
    """
    try:
        content = yaml.safe_load(read_text(path, key))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(key, str(path), f"is not plain YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(key, str(path), "is not a mapping")
    version = content.pop("schema", None)
    if version != schema:
        raise InputError(key, str(path), f"has schema {version}, this version reads schema {schema}", "make it anew")
    return from_plain(content, kind, key, path)
