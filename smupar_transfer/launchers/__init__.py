"""One seam for "run these jobs": what a job is, its caller knows."""

from smupar_transfer.launchers.processes import run_jobs

__all__ = ["run_jobs"]
