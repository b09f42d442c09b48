"""One seam for "run these jobs": what a job is, its caller knows."""

from smupar_transfer.launchers.plugins import add_plugins, import_plugins
from smupar_transfer.launchers.processes import run_jobs

__all__ = ["add_plugins", "import_plugins", "run_jobs"]
