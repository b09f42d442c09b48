"""One seam for "run these jobs": what a job is, its caller knows."""

from smupar_transfer.launchers.jobs import LATER, RETRIES, Care, Later, Worker
from smupar_transfer.launchers.plugins import add_plugins, import_plugins, origin_of
from smupar_transfer.launchers.registry import (
    PROCESSES,
    Launcher,
    find_launcher,
    launcher_names,
    register_launcher,
    run_available_jobs,
    run_jobs,
)

__all__ = [
    "LATER",
    "PROCESSES",
    "RETRIES",
    "Care",
    "Later",
    "Launcher",
    "Worker",
    "add_plugins",
    "find_launcher",
    "import_plugins",
    "launcher_names",
    "origin_of",
    "register_launcher",
    "run_available_jobs",
    "run_jobs",
]
