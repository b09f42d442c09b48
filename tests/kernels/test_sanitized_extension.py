"""The extension as PyTorch loads it, operators and threads included, under AddressSanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.kernels.build import FLAGS_VARIABLE, _compiler

PROGRAM = Path(__file__).with_name("sanitized_extension.py")
OPTIONS = "detect_leaks=0:verify_asan_link_order=0"


def library(name: str) -> Path:
    """Where the compiler keeps a library; no absolute path if it has none of that name."""
    asked = [_compiler(), f"-print-file-name={name}"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CompletedProcess[str]]:
    """The program in a process of its own, on kernels that are built with AddressSanitizer at its first run."""
    preloaded = [library("libasan.so"), library("libstdc++.so.6")]  # exceptions want the second from the beginning
    if not all(path.is_absolute() for path in preloaded):
        pytest.skip("the compiler has no library of AddressSanitizer")
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        FLAGS_VARIABLE: "-march=native -O1 -g -fsanitize=address",
        "LD_PRELOAD": " ".join(map(str, preloaded)),
        "ASAN_OPTIONS": OPTIONS,
    }

    def run(*arguments: str) -> CompletedProcess[str]:
        command = [sys.executable, str(PROGRAM), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.timeout(600)  # a build, on a machine that may be busy
@pytest.mark.usefixtures("needs_compiler")
class TestSanitizedExtension:
    def test_it_is_right_and_touches_nothing_else(self, program: Callable[..., CompletedProcess[str]]) -> None:
        result = program()
        assert (result.returncode, result.stdout) == (0, "right\n"), result.stderr

    def test_an_index_out_of_bounds_is_caught(self, program: Callable[..., CompletedProcess[str]]) -> None:
        """The control."""
        result = program("astray")
        assert result.returncode != 0
        assert "heap-buffer-overflow" in result.stderr
        assert "multiply_column" in result.stderr
