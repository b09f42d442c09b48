"""Figures are drawn again from records without waiting for torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


def imports_torch(module: str) -> bool:
    program = f"import sys, {module}; sys.exit(3 if 'torch' in sys.modules else 0)"
    code = subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode
    assert code in (0, 3)
    return code == 3


@pytest.mark.parametrize(
    "module",
    [
        "smupar_transfer.reporting",
        "smupar_transfer.reporting.demo_page",
        "smupar_transfer.reporting.questions.coordinates",
        "smupar_transfer.reporting.questions",
        "smupar_transfer.reporting.publish",
        "smupar_transfer.reporting.index_page",
        "smupar_transfer.reporting.run_page",
        "smupar_transfer.reporting.study_page",
        "smupar_transfer.app.commands.plot",
    ],
)
def test_looking_at_records_needs_no_torch(module: str) -> None:
    assert not imports_torch(module)


def test_training_does() -> None:
    assert imports_torch("smupar_transfer.training.callbacks")
