"""Data, optimizers, the training loop: from a run specification to a run record."""

from smupar_transfer.training.callbacks import Observer, Silent
from smupar_transfer.training.checkpoint import read_checkpoint
from smupar_transfer.training.checkpoint_files import KEEP, CheckpointFiles
from smupar_transfer.training.coordinates import measure
from smupar_transfer.training.data.examples import ExampleData
from smupar_transfer.training.data.load import DATA_NAMES, Data, load_data
from smupar_transfer.training.data.own_batches import NAME as OWN_BATCHES
from smupar_transfer.training.data.own_batches import OwnBatches
from smupar_transfer.training.data.request import DataRequest, load
from smupar_transfer.training.data.tokens import TokenData
from smupar_transfer.training.distributed.ranks import ALONE, SHARINGS, Ranks, joined
from smupar_transfer.training.estimate import (
    Estimate,
    LayerEstimate,
    Measurement,
    estimate_step,
    measure_steps,
    run_seconds,
    spread,
    step_seconds,
)
from smupar_transfer.training.loop import EarlyValidation, cross_entropy
from smupar_transfer.training.machine import machine_name, usable_cores
from smupar_transfer.training.optimizer import make_optimizer, register_optimizer, schedule
from smupar_transfer.training.process import prepare_process
from smupar_transfer.training.runs import Execution, load_network, require_byte_model, run, sample
from smupar_transfer.training.trackers import (
    RunState,
    TrackedRun,
    Tracker,
    TrackerFactory,
    Tracking,
    register_tracker,
    tracker_names,
)

__all__ = [
    "ALONE",
    "DATA_NAMES",
    "KEEP",
    "OWN_BATCHES",
    "SHARINGS",
    "CheckpointFiles",
    "Data",
    "DataRequest",
    "EarlyValidation",
    "Estimate",
    "ExampleData",
    "Execution",
    "LayerEstimate",
    "Measurement",
    "Observer",
    "OwnBatches",
    "Ranks",
    "RunState",
    "Silent",
    "TokenData",
    "TrackedRun",
    "Tracker",
    "TrackerFactory",
    "Tracking",
    "cross_entropy",
    "estimate_step",
    "joined",
    "load",
    "load_data",
    "load_network",
    "machine_name",
    "make_optimizer",
    "measure",
    "measure_steps",
    "prepare_process",
    "read_checkpoint",
    "register_optimizer",
    "register_tracker",
    "require_byte_model",
    "run",
    "run_seconds",
    "sample",
    "schedule",
    "spread",
    "step_seconds",
    "tracker_names",
    "usable_cores",
]
