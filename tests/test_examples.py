"""Every example runs in some seconds and shows what its list says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
RUN = """
import runpy, sys
from tests.hugging_face import hide_torchvision
hide_torchvision()
runpy.run_path(sys.argv[1], run_name="__main__")
"""
SHOWN = {
    "rescale_own_network": r"hidden\.weight +hidden +0\.1414 +0\.02\n",  # m_d m_rho = 4 / 8
    "train_sparse_gpt": r"\nloss [1-4]\.\d+ nats a byte",
    "coordinate_check": r"\nmup .*slope: 0\.[5-9].*\nsmupar .*slope: -?0\.[0-3]",
    "gpt2_loop": r"step 1: loss 5\.\d+ .*\nstep 30: loss ([0-4]\.\d+) .*\n.* differ in \[\]\n.*loaded: \1",
    "llama_trainer": r"\nresumed: weights differ by (0|\S+e-\d+) from .*\nweights that are not zero: 172544\n",
    "lightning_module": r"\nloss [01]\.\d+, of 2\.30 .*\n.*are the same: True\n8192 of 65536",
    "resnet_digits": r"conv1\.weight .*hidden .* x 2\n[\s\S]*downsample.* x 0\.25\n[\s\S]*; [5-9]\d\.\d% of digits",
    "mixtral": r"gate\.weight .*readout .*x 0\.25\n.*gate_up_proj .*hidden .*x 1\n[\s\S]*loss 5\.\d+, .*steps [0-4]",
    "pruned_model": r"2\.weight_orig .*x 0\.5 [\s\S]*4\.weight_orig .*x 2 [\s\S]*: 0\.125 of[\s\S]*rates x 1\.00",
}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path)}
    if name == "lightning_module" and importlib.util.find_spec("lightning") is None:
        pytest.skip("the extra 'lightning' is not installed")
    command = [sys.executable, "-c", RUN, str(EXAMPLES / f"{name}.py")]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert result.returncode == 0, result.stderr
    assert re.search(SHOWN[name], result.stdout), result.stdout


def test_every_example_is_listed() -> None:
    listed = re.findall(r"^\| \[(\w+)\.py\]", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SHOWN)
