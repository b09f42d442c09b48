"""The library's face: names of the root package, each imported when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import smupar_transfer


@pytest.mark.parametrize("name", smupar_transfer.__all__)
def test_every_name_is_there_and_is_that_of_its_room(name: str) -> None:
    (room,) = (room for room, names in smupar_transfer._ROOMS.items() if name in names)
    assert getattr(smupar_transfer, name) is getattr(importlib.import_module(f"smupar_transfer.{room}"), name)
    assert name in dir(smupar_transfer)


def test_what_is_listed_is_what_is_offered() -> None:
    assert sorted(name for names in smupar_transfer._ROOMS.values() for name in names) == smupar_transfer.__all__


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'plann'"):
        _ = smupar_transfer.plann


@pytest.mark.parametrize(
    ("code", "imported"), [("smupar_transfer", False), ("smupar_transfer; smupar_transfer.run", True)]
)
def test_importing_the_package_imports_no_torch(code: str, imported: bool) -> None:
    program = f"import sys; import {code}; sys.exit(3 if 'torch' in sys.modules else 0)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=100).returncode == (
        3 if imported else 0
    )
