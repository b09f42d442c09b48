"""Signals end a command with its code and no traceback, whatever Python is at when they come."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

CODES = [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)]
IN_A_FINALIZER = """
import signal, time
from smupar_transfer.app.endings import end_politely

end_politely()

class Finalized:
    def __del__(self):
        signal.raise_signal({number})
        time.sleep(0)

Finalized()
time.sleep(30)
"""
WHILE_IMPORTING = """
import signal, sys
from smupar_transfer.app.main import main

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "smupar_transfer.app.hydra_entry":
            signal.raise_signal({number})

sys.meta_path.insert(0, Finder())
sys.exit(main(["train"]))
"""


def ended(script: str, number: signal.Signals) -> tuple[int, str]:
    """Exit code and standard error of a script."""
    words = [sys.executable, "-c", script.format(number=int(number))]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return result.returncode, result.stderr


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_that_python_drops_within_a_finalizer_is_sent_again(number: signal.Signals, code: int) -> None:
    """It used to print a traceback, and the command went on."""
    started = time.monotonic()
    assert ended(IN_A_FINALIZER, number) == (code, "")
    assert time.monotonic() - started < 20


def test_so_is_ctrl_c() -> None:
    code, said = ended(IN_A_FINALIZER, signal.SIGINT)
    assert code == -signal.SIGINT
    assert "Exception ignored" not in said
    assert said.endswith("time.sleep(30)\nKeyboardInterrupt\n") or said.endswith("\nKeyboardInterrupt\n")


def test_other_errors_of_finalizers_are_told_as_ever() -> None:
    script = IN_A_FINALIZER.replace("signal.raise_signal({number})", "raise ValueError({number})")
    code, said = ended(script.replace("time.sleep(30)", ""), signal.SIGTERM)
    assert code == 0
    assert "Exception ignored in: <function Finalized.__del__" in said
    assert "ValueError: 15" in said


@pytest.mark.parametrize(("number", "code"), CODES)
def test_a_signal_while_modules_are_imported_has_the_code_of_a_signal(number: signal.Signals, code: int) -> None:
    assert ended(WHILE_IMPORTING, number) == (code, "")


def test_ctrl_c_while_modules_are_imported_is_a_line() -> None:
    """It used to print a traceback of many lines."""
    assert ended(WHILE_IMPORTING, signal.SIGINT) == (
        130,
        "\nsmupar: interrupted; run the same command again to go on\n",
    )
