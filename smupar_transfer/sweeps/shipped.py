"""Where configurations and sweeps lie, in an editable install and in a wheel alike."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    # a wheel carries them inside the package, a checkout beside it: pyproject.toml copies one to the other
    inside_wheel = PACKAGE / "shipped" / name
    return inside_wheel if inside_wheel.is_dir() else PACKAGE.parent / name


CONF = _shipped("conf")
SWEEPS = _shipped("sweeps")

OPTION_FOLDERS = frozenset({"model", "data", "parametrization", "sparsity", "optimizer", "budget", "target", "tuning"})
"""Folders, beside those of sweeps, whose files are options of a configuration group, or search spaces."""
