"""Where shipped files lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.sweeps import shipped


def test_both_folders_are_there() -> None:
    assert (shipped.CONF / "train.yaml").is_file()
    assert (shipped.SWEEPS / "tuning" / "base.yaml").is_file()


@pytest.mark.parametrize("wheel", [True, False])
def test_the_copy_inside_the_package_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: bool) -> None:
    package = tmp_path / "smupar_transfer"
    (package / "shipped" / "conf" if wheel else package).mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    monkeypatch.setattr(shipped, "PACKAGE", package)
    assert shipped._shipped("conf") == (package / "shipped" if wheel else tmp_path) / "conf"
