"""A cell: a process a variant, taking turns."""

from __future__ import annotations

import multiprocessing
import platform
import time
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench.cells import Cell, Measurement, Result
from bench.trainee import serve
from smupar_transfer.training import machine_name

FEWEST = 5


class _Process:
    """A variant in a process of its own."""

    def __init__(self, name: str, cell: Cell) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, cell, theirs), daemon=True)
        self._process.start()
        theirs.close()  # or its death would go unnoticed
        self._pipe.recv()  # ready: one builds, and may calibrate, at a time

    def ask(self, request: str) -> Any:
        """Its answer; EOFError if it died."""
        self._pipe.send(request)
        return self._pipe.recv()

    def end(self) -> None:
        """Stop it, and wait until its memory is free."""
        self._process.terminate()
        self._process.join()


def measure(cell: Cell, variants: tuple[str, ...], steps: int, warmup: int, seconds: float) -> Result:
    """Train every variant in turns of a second (``Trainee.turn``), every other round in reversed order.

    Args:
        cell: what is trained.
        variants: names, without repetition.
        steps: rounds that count, at least 1.
        warmup: rounds before them that do not.
        seconds: after which no round begins, once there are ``FEWEST`` that count.
    """
    processes: dict[str, _Process] = {}
    try:
        for name in variants:
            processes[name] = _Process(name, cell)
        taken = _rounds(processes, steps, warmup, seconds)
        measurements = {name: _measurement(process, taken[name]) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.end()
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return Result(cell, machine_name(), versions, measurements)


def _measurement(process: _Process, seconds: list[float]) -> Measurement:
    peak, of_training, state = process.ask("memory")
    return Measurement(tuple(seconds), peak, state, process.ask("split"), of_training)


def _rounds(processes: dict[str, _Process], steps: int, warmup: int, seconds: float) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in processes}
    started = time.monotonic()
    for index in range(warmup + steps):
        if index >= warmup + FEWEST and time.monotonic() - started > seconds:
            break
        for name in list(processes) if index % 2 == 0 else reversed(processes):
            answer = processes[name].ask("turn")
            if index >= warmup:
                taken[name].append(answer)
    return taken
