"""Programs of C++ kernels, built with AddressSanitizer and UndefinedBehaviorSanitizer in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from smupar_transfer.kernels.build import KERNELS, _compiler

FLAGS = ["-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{KERNELS}"]
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
"""Leaks cannot be looked for where processes may not trace each other."""
MACHINES = [pytest.param("-march=native", id="native"), pytest.param("", id="portable")]


def instrumented(source: Path, folder: Path, machine: str) -> Path:
    """The program, built in a folder; skips the test where the compiler cannot."""
    (folder / "empty.cpp").write_text("int main() {}")
    built, flags = folder / "sanitized", [*FLAGS, *machine.split()]
    trial = subprocess.run(
        [_compiler(), *flags, str(folder / "empty.cpp"), "-o", str(built)], capture_output=True, check=False
    )
    if trial.returncode != 0 or subprocess.run([built], capture_output=True, check=False).returncode != 0:
        pytest.skip("the compiler has no sanitizers")
    result = subprocess.run(
        [_compiler(), *flags, str(source), "-o", str(built)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return built


def run(program: Path, content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The program on some standard input."""
    return subprocess.run([program, *arguments], input=content, env=ENVIRONMENT, capture_output=True, check=False)
