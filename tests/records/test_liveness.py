"""Which process is this, and has that one ended?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from smupar_transfer.records import liveness
from smupar_transfer.records.liveness import has_died, this_process

pytestmark = pytest.mark.skipif(liveness._machine() is None, reason="only Linux tells of other processes")
NAME_AND_WAIT = """
import time
from smupar_transfer.records.liveness import this_process
print(this_process(), flush=True)
time.sleep(60)
"""


def test_this_process_has_one_name_and_lives() -> None:
    assert this_process() == this_process()
    assert not has_died(this_process())


def test_a_killed_process_has_died_before_and_after_its_parent_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", NAME_AND_WAIT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert name != this_process()
        assert not has_died(name)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
        assert has_died(name)
    assert has_died(name)


def test_an_old_number_given_to_a_new_process_does_not_bring_the_old_one_back() -> None:
    machine, pid, birth = this_process().rsplit("/", 2)
    assert has_died(f"{machine}/{pid}/{int(birth) - 1}")


@pytest.mark.parametrize("pid", [1, 2**22 + 1])  # one that runs; one that no process has
def test_of_another_machine_nothing_is_known(pid: int) -> None:
    assert not has_died(f"another-boot:pid:[1]/{pid}/5")
    machine = this_process().rsplit("/", 2)[0]
    assert has_died(f"{machine}/{2**22 + 1}/5"), "here it would be known"


def test_of_a_process_that_cannot_be_looked_at_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, pid, _ = this_process().rsplit("/", 2)

    def forbidden(pid: int, number: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", forbidden)
        assert not has_died(f"{machine}/{pid}/5")
    with monkeypatch.context() as patch:
        patch.setattr(liveness, "_birth", lambda _: "")
        assert not has_died(f"{machine}/{pid}/5")
    assert has_died(f"{machine}/{pid}/5")


def test_where_the_kernel_does_not_tell_every_process_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "_machine", lambda: None)
    assert this_process().rsplit("/", 2)[1] == str(os.getpid())
    assert not has_died(this_process())
    assert not has_died(f"another/{2**22 + 1}/5")
