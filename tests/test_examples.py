"""Every example runs in some seconds and shows what its list says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SHOWN = {
    "rescale_own_network": r"hidden\.weight +hidden +0\.1414 +0\.02\n",  # m_d m_rho = 4 / 8
    "train_sparse_gpt": r"\nloss [1-4]\.\d+ nats a byte",
    "coordinate_check": r"\nmup .*slope: 0\.[5-9].*\nsmupar .*slope: -?0\.[0-3]",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert re.search(SHOWN[name], result.stdout), result.stdout


def test_every_example_is_listed() -> None:
    listed = re.findall(r"^\| \[(\w+)\.py\]", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SHOWN)
