"""Plans as files, and plan against plan."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from smupar_transfer.records import from_plain, load_json, read_text, to_plain, write_atomically
from smupar_transfer.theory import InputError, OptimizerSettings, RelativeHyperparameters
from smupar_transfer.transfer.densities import GIVEN, MaskRequest
from smupar_transfer.transfer.initial_values import InitialValues
from smupar_transfer.transfer.plan_data import ModuleMultiplier, PlanData, PlanRow

SCHEMA = 1
Kind = TypeVar("Kind", bound=PlanData)


@dataclass(frozen=True)
class _PlanFile:
    """A plan as plain data; see ``PlanData``. Masks of a person's own are packed: a bit each, compressed, base 64."""

    rows: tuple[PlanRow, ...]
    parametrization: str
    optimizer: OptimizerSettings
    hparams: RelativeHyperparameters
    multipliers: tuple[ModuleMultiplier, ...]
    attention: dict[str, float]
    masks: dict[str, MaskRequest]
    own_masks: dict[str, str]
    initial: dict[str, InitialValues]
    seed: int
    cautions: tuple[str, ...]


def write_plan(path: Path, plan: PlanData) -> None:
    """Write a plan as JSON.

    Raises:
        InputError: the file cannot be written.
    """
    values = {item.name: getattr(plan, item.name) for item in fields(_PlanFile)}
    packed = {name: _pack(mask) for name, mask in plan.own_masks.items()}
    content = _PlanFile(**{**values, "own_masks": packed})
    # NaN is no JSON: other programs could not read the file
    text = json.dumps({"plan": SCHEMA, **to_plain(content)}, indent=1, allow_nan=False)
    write_atomically(path, text + "\n", "path")


def read_plan(path: Path, kind: type[Kind]) -> Kind:
    """Read what ``write_plan`` wrote.

    Raises:
        InputError: there is no such file, it holds something else, or its masks do not fit.
    """
    text = read_text(path, "path", "plan.save writes one")
    try:
        content = load_json(text)
    except ValueError as error:
        raise InputError("path", str(path), f"is no JSON ({error})") from None
    if not isinstance(content, dict) or content.pop("plan", None) != SCHEMA:
        raise InputError("path", str(path), "is no plan of this version", "make it anew: plan.save writes one")
    stored = from_plain(content, _PlanFile, "path", path)
    values = {item.name: getattr(stored, item.name) for item in fields(_PlanFile)}
    _require_whole(path, stored)  # before masks are unpacked, which have their shapes from the requests
    masks = {name: _unpack(path, name, text, stored.masks) for name, text in stored.own_masks.items()}
    return kind(**{**values, "own_masks": masks})


def _require_whole(path: Path, stored: _PlanFile) -> None:
    """Refuse a file whose parts are not about the same parameters.

    Raises:
        InputError: a part is about others.
    """
    shapes = {row.name: row.shape for row in stored.rows}
    own = {name for name, request in stored.masks.items() if request.structure == GIVEN}
    is_whole = (
        len(shapes) == len(stored.rows) > 0
        and all(size > 0 for shape in shapes.values() for size in shape)
        and stored.initial.keys() == shapes.keys()
        and all(shapes.get(name) == request.shape for name, request in stored.masks.items())
        and all(_is_usable(request) for request in stored.masks.values())
        and own == stored.own_masks.keys()
    )
    if not is_whole:
        raise InputError("path", str(path), "holds parts of different plans", "make it anew: plan.save writes one")


def _is_usable(request: MaskRequest) -> bool:
    axes = list(range(len(request.shape)))
    return sorted(request.order) == axes and request.fan_in > 0 and math.prod(request.shape) % request.fan_in == 0


def _pack(mask: Tensor) -> str:
    # whole bytes, the first entry in the lowest bit: `_unpack` counts on it
    bits = torch.nn.functional.pad(mask.flatten().cpu(), (0, -mask.numel() % 8)).view(-1, 8)
    weights = 2 ** torch.arange(8, device="cpu")
    return base64.b64encode(zlib.compress(bytes((bits * weights).sum(1).tolist()))).decode()


def _unpack(path: Path, name: str, text: str, requests: Mapping[str, MaskRequest]) -> Tensor:
    shape = requests[name].shape
    count = math.prod(shape)
    try:
        # as many bytes as the mask has, and no more: a few bytes can stand for gigabytes
        packed = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), -(-count // 8) + 1)
    except (ValueError, zlib.error) as error:
        raise InputError("path", str(path), f"has a mask of {name} that cannot be read ({error})") from None
    # the byte too many that was allowed for shows that a mask is too long
    if len(packed) != -(-count // 8):
        raise InputError("path", str(path), f"has a mask of {name} that does not fit its shape {shape}")
    places = torch.arange(8, device="cpu")
    # a bytearray: torch warns of memory that cannot be written
    bits = torch.frombuffer(bytearray(packed), dtype=torch.uint8)[:, None] >> places & 1
    return bits.flatten()[:count].bool().view(shape)


SHOWN = ("shape", "role", "m_d", "m_rho", "init_std", "learning_rate_factor", "weight_decay_factor", "epsilon")
"""What differences between rows are told of."""


def plan_differences(one: PlanData, other: PlanData) -> list[str]:
    """What the other plan says otherwise, a line each."""
    lines = [
        f"{name}: {getattr(one, name)} -> {getattr(other, name)}"
        for name in ("parametrization", "optimizer", "hparams", "attention")
        if getattr(one, name) != getattr(other, name)
    ]
    ours, theirs = one.by_name, other.by_name
    lines += [f"{name}: only in the first" for name in ours if name not in theirs]
    lines += [f"{name}: only in the second" for name in theirs if name not in ours]
    for name, row in ours.items():
        if name in theirs:
            said = [
                f"{key} {_say(row, key)} -> {_say(theirs[name], key)}"
                for key in SHOWN
                if _differ(row, theirs[name], key)
            ]
            lines += [f"{name}: {', '.join(said)}"] if said else []
    if one.multipliers != other.multipliers:
        lines.append(f"multipliers: {_factors(one)} -> {_factors(other)}")
    if not lines and one.digest != other.digest:
        lines.append("masks or seeds differ, nothing else")
    return lines


def _differ(row: PlanRow, other: PlanRow, key: str) -> bool:
    return bool(getattr(row, key) != getattr(other, key))


def _say(row: PlanRow, key: str) -> str:
    value = getattr(row, key)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _factors(plan: PlanData) -> str:
    return ", ".join(f"{item.module} {item.side} x {item.factor:.6g}" for item in plan.multipliers) or "none"
