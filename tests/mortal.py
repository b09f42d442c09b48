"""Workers that die at chosen places of a study, or seeds of a sweep, without a process to start or to kill."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import pytest

from smupar_transfer.launchers import Launcher, registry
from smupar_transfer.tuning.claims import TrialClaim


class MortalWorker:
    """Does jobs in this process; at some places, or seeds, it is dead instead, a number of times.

    Attributes:
        deaths: How often a worker has died there.
        deadly: How many workers more will die there.
        did: Where workers were sent, in order.
    """

    deaths: dict[int, int]
    deadly: dict[int, int]
    did: list[int]

    def submit(self, work: Callable[[Any], Any], job: Any) -> Future[Any]:
        future: Future[Any] = Future()
        where: int = job.ordinal if isinstance(job, TrialClaim) else job.spec.seed
        self.did.append(where)
        if self.deadly.get(where, 0) > 0:
            self.deadly[where] -= 1
            self.deaths[where] = self.deaths.get(where, 0) + 1
            future.set_exception(BrokenExecutor())
        else:
            future.set_result(work(job))
        return future

    def why_dead(self) -> str:
        return "its process was killed by SIGSEGV"

    def close(self) -> None:
        pass

    def kill(self) -> None:
        pass


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> type[MortalWorker]:
    """Workers of this process in the place of those of the default launcher."""
    monkeypatch.setattr(registry, "_LAUNCHERS", {registry.PROCESSES: Launcher(MortalWorker)})
    monkeypatch.setattr("smupar_transfer.launchers.jobs.PAUSE_SECONDS", 0.0)
    for name, empty in (("deaths", {}), ("deadly", {}), ("did", [])):
        monkeypatch.setattr(MortalWorker, name, empty, raising=False)
    return MortalWorker
