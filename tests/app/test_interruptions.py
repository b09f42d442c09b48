"""Signals that ask a command to end are answered wherever it is at."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

IN_A_CALLBACK = """
import signal, sys, time, weakref
from smupar_transfer.app.interruptions import end_politely

class Dropped:
    pass

if sys.argv[2] == "polite":
    end_politely()
dropped = Dropped()
times = [int(sys.argv[1])] * int(sys.argv[3])
references = [weakref.ref(dropped, lambda _: signal.raise_signal(number)) for number in times]
try:
    del dropped
    time.sleep(5)
    print("slept")
except KeyboardInterrupt:
    print("interrupted")
"""


def ended(number: int, how: str, times: int = 1) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", IN_A_CALLBACK, str(int(number)), how, str(times)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("times", [1, 3])
def test_a_ctrl_c_that_python_drops_is_sent_again(times: int) -> None:
    """What a weak reference's callback raises is printed and dropped: the command went on for minutes."""
    result = ended(signal.SIGINT, "polite", times)
    assert (result.stdout, result.stderr, result.returncode) == ("interrupted\n", "", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)])
def test_other_signals_are_sent_again_too(number: int, code: int) -> None:
    result = ended(number, "polite")
    assert (result.stdout, result.stderr, result.returncode) == ("", "", code)


def test_what_else_a_callback_raises_is_printed_as_ever() -> None:
    code = IN_A_CALLBACK.replace("signal.raise_signal(number)", "1 / 0").replace("sleep(5)", "sleep(0)")
    line = [sys.executable, "-c", code, "2", "polite", "1"]
    result = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout == "slept\n"
    assert "ZeroDivisionError" in result.stderr


def test_python_itself_drops_it() -> None:
    """The control."""
    result = ended(signal.SIGINT, "rude")
    assert result.stdout == "slept\n"
    assert "KeyboardInterrupt" in result.stderr


def test_a_command_that_is_still_being_imported_ends_in_one_line() -> None:
    code = (
        "import builtins, signal, sys\n"
        "from smupar_transfer.app.main import main\n"
        "real = builtins.__import__\n"
        "def late(name, *rest):\n"
        "    if name.endswith('hydra_entry'):\n"
        "        signal.raise_signal(int(sys.argv[1]))\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = late\n"
        "sys.exit(main(['plan']))\n"
    )
    for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        line = [sys.executable, "-c", code, str(int(number))]
        result = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == expected
        assert "Traceback" not in result.stderr
        assert ("interrupted; run the same command again" in result.stderr) == (number == signal.SIGINT)
