"""Base hyperparameters of a model that initialises itself, from whatever a person has them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from smupar_transfer.records import LARGEST_BY_HAND, load_yaml, read_text
from smupar_transfer.theory import BaseHyperparameters, InputError, RelativeHyperparameters, did_you_mean

KNOWN = tuple(item.name for item in fields(RelativeHyperparameters))


def as_relative(given: object) -> RelativeHyperparameters:
    """Base hyperparameters from a mapping or a file, which may have them under ``hparams``.

    Raises:
        InputError: the file cannot be read, or a name or a value is none of a base hyperparameter.
    """
    match given:
        case None:
            return RelativeHyperparameters()
        case RelativeHyperparameters():
            return given
        case str() | Path():
            return _from_mapping(_read(Path(given)), str(given))
        case Mapping():
            return _from_mapping(given, "")
        # of which `init_std` is refused by name, with what takes its place
        case BaseHyperparameters():
            return _from_mapping(vars(given), "")
    raise InputError("hparams", type(given).__name__, "is no mapping and no path of a file")


def _read(path: Path) -> Mapping[str, Any]:
    content = load_yaml(read_text(path, "hparams", largest=LARGEST_BY_HAND), "hparams", path)
    if isinstance(content, dict):
        content = content.get("hparams", content)
    if not isinstance(content, dict):
        raise InputError("hparams", str(path), "holds no base hyperparameters", f"it may have {', '.join(KNOWN)}")
    return content


def _from_mapping(values: Mapping[str, Any], path: str) -> RelativeHyperparameters:
    where = f" (in {path})" if path else ""
    for name in values:
        if name == "init_std":
            problem = f"is for networks of this package{where}"
            remedy = "a model that initialises itself has init_scale, 1 for its own way: tune it on such a model"
            raise InputError("hparams.init_std", values[name], problem, remedy)
        if name not in KNOWN:
            hint = did_you_mean(str(name), KNOWN, f"there are {', '.join(KNOWN)}")
            raise InputError(f"hparams.{name}", values[name], f"is no base hyperparameter{where}", hint)
    return RelativeHyperparameters(**values)
