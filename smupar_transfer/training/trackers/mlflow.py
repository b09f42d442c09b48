"""MLflow: a database in the folder of a result, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from smupar_transfer.training.trackers.base import PROJECT, RunState, TrackedRun, flat, tool

NAME = MODULE = "mlflow"
IDENTITY = "smupar_transfer.identity"
"""Tag by which a run that goes on is found."""
LONGEST_VALUE = 500
"""Characters of a parameter that every server takes."""
MOST_PARAMETERS = 100
"""That a server takes at once."""
STATUS = {
    RunState.FINISHED: "FINISHED",
    RunState.DIVERGED: "FAILED",
    RunState.STOPPED: "KILLED",
    RunState.INTERRUPTED: "KILLED",
    RunState.FAILED: "FAILED",
}


class MLflowTracker:
    """Keeps a run of MLflow through a client of its own, so that what a person's own program has open stays open."""

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._mlflow, self._entities = tool(MODULE, NAME), tool(f"{MODULE}.entities", NAME)
        run.files.mkdir(parents=True, exist_ok=True)
        own = f"sqlite:///{run.files.resolve() / 'mlflow.db'}"
        uri = self._mlflow.get_tracking_uri() if self._mlflow.is_tracking_uri_set() else own
        self._client: Any = self._mlflow.MlflowClient(tracking_uri=uri)
        self._id = ""

    def start(self, config: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT)
        found = []
        # one that goes on is looked for; one that begins again stands beside the one before
        if self._run.step:
            filter_string = f"tags.`{IDENTITY}` = '{self._run.identity}'"
            found = self._client.search_runs([experiment], filter_string, max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return  # it has its parameters, which cannot be changed
        tags = {IDENTITY: self._run.identity, "group": self._run.group}
        self._id = self._client.create_run(experiment, run_name=self._run.name, tags=tags).info.run_id
        rows = [self._entities.Param(key, str(value)[:LONGEST_VALUE]) for key, value in flat(config).items()]
        for begin in range(0, len(rows), MOST_PARAMETERS):
            self._client.log_batch(self._id, params=rows[begin : begin + MOST_PARAMETERS])

    def _experiment(self, name: str) -> str:
        """Id of an experiment, which is made where there is none; another process may make it at the same time."""
        known = self._client.get_experiment_by_name(name)
        if known is None:
            try:
                return str(self._client.create_experiment(name))
            except self._mlflow.MlflowException:
                known = self._client.get_experiment_by_name(name)
                if known is None:
                    raise
        return str(known.experiment_id)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See ``Tracker``."""
        now = round(time.time() * 1000)
        rows = [self._entities.Metric(key, value, now, step) for key, value in values.items()]
        self._client.log_batch(self._id, metrics=rows)

    def finish(self, state: RunState) -> None:
        """See ``Tracker``."""
        self._client.set_tag(self._id, "state", str(state))
        self._client.set_terminated(self._id, status=STATUS[state])
