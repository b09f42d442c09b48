"""Workers of other people's engines, each imported when it is asked for: joblib and Ray; and submitit."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

from smupar_transfer.launchers.plugins import VARIABLE, import_plugins
from smupar_transfer.launchers.processes import begin
from smupar_transfer.theory import InputError

RAY_OPTIONS = "SMUPAR_RAY_OPTIONS"
"""Environment variable with options of Ray's tasks as JSON, as in {"num_cpus": 4, "num_gpus": 1}."""
SUBMITIT_OPTIONS = "SMUPAR_SUBMITIT_OPTIONS"
"""Environment variable with submitit's parameters as JSON, as in {"slurm_partition": "gpu", "timeout_min": 240}."""


def _missing(name: str, error: ImportError) -> InputError:
    hint = f"pip install 'smupar-transfer[{name}]'"
    return InputError("launcher", name, f"cannot be used, since {error}", hint)


def _options(variable: str, text: str | None) -> dict[str, Any]:
    """Options of an engine, from an environment variable.

    Raises:
        InputError: they are no JSON object.
    """
    try:
        options = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InputError(variable, text, f"is not JSON: {error}") from error
    if not isinstance(options, dict):
        raise InputError(variable, text, "is not a JSON object", 'as in {"num_cpus": 4}')
    return options


class JoblibWorker:
    """A process of loky, joblib's engine, which carries functions of notebooks and scripts as well."""

    def __init__(self) -> None:
        try:
            from joblib.externals.loky.process_executor import ProcessPoolExecutor
        except ImportError as error:
            raise _missing("joblib", error) from error
        # a pool for each worker: one that loses a process is broken as a whole
        self._executor = ProcessPoolExecutor(1, initializer=begin, initargs=(os.getpid(),))

    def submit(self, work: Callable[[Any], Any], job: object) -> Future[Any]:
        """See ``Worker``."""
        future: Future[Any] = self._executor.submit(work, job)
        return future

    def why_dead(self) -> str:
        """See ``Worker``."""
        return "its process of joblib died, as it does when memory runs out"

    def close(self) -> None:
        """See ``Worker``."""
        self._executor.shutdown(wait=True)

    def kill(self) -> None:
        """See ``Worker``."""
        self._executor.shutdown(wait=True, kill_workers=True)


class RayWorker:
    """Tasks of Ray, one after the other, on whatever machine of its cluster is free."""

    def __init__(self) -> None:
        try:
            import ray
        except ImportError as error:
            raise _missing("ray", error) from error
        # no retries of Ray's own, whatever a person says: they are counted here, for every launcher alike
        options = {"num_cpus": 1, **_options(RAY_OPTIONS, os.environ.get("SMUPAR_RAY_OPTIONS")), "max_retries": 0}
        if not ray.is_initialized():
            # joins the cluster of RAY_ADDRESS, or of this machine, or starts one here
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._ray, self._task = ray, ray.remote(**options)(_in_folder)
        self._last: Any = None
        self._reason = ""

    def submit(self, work: Callable[[Any], Any], job: object) -> Future[Any]:
        """See ``Worker``."""
        self._last = self._task.remote(str(Path.cwd()), os.environ.get(VARIABLE, ""), work, job)
        # one of our own, since what Ray raises has to become a BrokenExecutor, or what the job raised
        told: Future[Any] = Future()
        self._last.future().add_done_callback(lambda ended: self._tell(ended, told))
        return told

    def _tell(self, ended: Future[Any], told: Future[Any]) -> None:
        error = ended.exception()
        if error is None:
            told.set_result(ended.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            told.set_exception(error.cause if isinstance(error.cause, Exception) else error)  # what the job raised
        else:
            self._reason = f"its worker of Ray died ({type(error).__name__})"
            told.set_exception(BrokenExecutor(self._reason))

    def why_dead(self) -> str:
        """See ``Worker``."""
        return self._reason

    def close(self) -> None:
        """See ``Worker``; Ray keeps its processes."""

    def kill(self) -> None:
        """See ``Worker``."""
        if self._last is not None:
            self._ray.cancel(self._last, force=True)


def _in_folder(folder: str, plugins: str, work: Callable[[Any], Any], job: object) -> Any:
    """Do a job where the command was given, which is a folder of all machines."""
    # relative paths in a job, such as that of its results, begin there
    os.chdir(folder)
    os.environ[VARIABLE] = plugins
    import_plugins()
    return work(job)


class _Requeued:
    """A command that submitit puts into the queue again when its time is over, or when it is preempted."""

    def __init__(self, command: Callable[[], int]) -> None:
        self._command = command

    def __call__(self) -> int:
        return self._command()

    def checkpoint(self) -> Any:
        """What submitit runs next: the same, which goes on with what has no record yet."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit_with_submitit(command: Callable[[], int], workers: int, folder: Path) -> str:
    """Submit an array of so many commands to Slurm, or run them on this machine where there is no Slurm.

    Raises:
        InputError: submitit is not installed, or refuses.
    """
    try:
        import submitit
    except ImportError as error:
        raise _missing("submitit", error) from error
    try:
        executor = submitit.AutoExecutor(folder=folder)
        given = _options(SUBMITIT_OPTIONS, os.environ.get("SMUPAR_SUBMITIT_OPTIONS"))
        executor.update_parameters(**{"name": "smupar", "timeout_min": 240, **given})
        # one array of tasks, not so many jobs
        with executor.batch():
            jobs = [executor.submit(_Requeued(command)) for _ in range(workers)]
    except (OSError, RuntimeError, TypeError, ValueError, NameError, submitit.core.utils.FailedJobError) as error:
        # a ValueError, too, and one that says what is the matter
        if isinstance(error, InputError):
            raise
        problem = f"submitit refused: {error}"
        raise InputError("launcher", "submitit", problem, f"{SUBMITIT_OPTIONS} has its parameters") from error
    return f"submitted {workers} workers to {executor.cluster}: {', '.join(job.job_id for job in jobs[:3])}" + (
        ", ..." if workers > 3 else ""
    )
