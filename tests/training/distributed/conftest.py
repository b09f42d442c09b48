from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

ROOT = Path(__file__).parents[3]
SECONDS = 240.0


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes worked; done once for all workers of pytest, as starting them takes longest."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "together"
    with FileLock(f"{shared}.lock"):
        if not (shared / "1.pt").exists():
            shared.mkdir(exist_ok=True)
            work_together(shared)
    return shared


def work_together(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("together.py")
    path = os.pathsep.join([*sys.path, str(ROOT)])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "PYTHONPATH": path}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)


@pytest.fixture(scope="session")
def seen(folder: Path) -> list[dict[str, Any]]:
    """What each of two processes saw of everything that they did together."""
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]
