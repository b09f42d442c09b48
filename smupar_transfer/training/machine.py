"""What a record calls the machine it was made on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch

PROCESSORS = Path("/proc/cpuinfo")
TELLING = {"cpu family": "family", "model": "model", "CPU implementer": "implementer", "CPU part": "part"}
"""What tells generations of a processor apart whose name does not, by its key in ``PROCESSORS``."""


def machine_name(device: str = "cpu") -> str:
    """The accelerator's own name, or the processor's with its number of cores.

    A name without a number of three digits or more, as virtual machines have it, gets the numbers that it hides:
    ``AMD EPYC (family 25, model 17), 2 cores``.

    Args:
        device: "cpu", "cuda" or "cuda:N".
    """
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    threads = _threads()
    first = threads[0]
    name = first.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{short} {first[key]}" for key, short in TELLING.items() if key in first]
    if numbers and not re.search(r"\d{3}", name.partition("@")[0]):  # behind an @ stands the clock rate
        name += f" ({', '.join(numbers)})"
    cores = _cores(threads)
    return f"{name}, {cores} core{'s' if cores > 1 else ''}"


def usable_cores() -> int:
    """Cores that this process may use: those of the machine, or fewer where it is bound to a few of their threads."""
    cores = _cores(_threads())
    # not all systems say to which threads a process is bound
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


def _cores(threads: list[dict[str, str]]) -> int:
    """Cores of the machine: threads of one core count once."""
    places = {(thread.get("physical id"), thread["core id"]) for thread in threads if "core id" in thread}
    # where the system names no cores, every thread counts as one
    return len(places) or os.cpu_count() or 1


def _threads() -> list[dict[str, str]]:
    """Keys and values of each thread that the operating system counts; at least one, empty where it does not say."""
    try:
        text = PROCESSORS.read_text(encoding="utf-8")
    except OSError:
        text = ""
    blocks = [[line.partition(":") for line in block.splitlines()] for block in text.split("\n\n") if block.strip()]
    return [{key.strip(): value.strip() for key, _, value in block} for block in blocks] or [{}]
