"""Run specifications, run records and manifests, and the only code that knows their file formats."""

from smupar_transfer.records.claims import FileClaims, lock_of
from smupar_transfer.records.coordinates import CoordinateRecord, LayerSizes
from smupar_transfer.records.design import Design
from smupar_transfer.records.failure import FailureStore, RunFailure, RunsFailedError, lacks_memory, memory_reason
from smupar_transfer.records.file_kinds import FileKind, identify, refuse_other
from smupar_transfer.records.files import from_plain, require_writable, to_plain, write_atomically
from smupar_transfer.records.jsons import load_json
from smupar_transfer.records.manifest import (
    MANIFEST_FILE,
    REMARKS_FILE,
    Manifest,
    read_manifest,
    result_names,
    write_manifest,
)
from smupar_transfer.records.names import require_name
from smupar_transfer.records.reading import LARGEST_BY_HAND, LARGEST_PAGE, read_text, regular
from smupar_transfer.records.record import Environment, Evaluation, LayerSparsity, RunRecord, trained_runs
from smupar_transfer.records.record_checks import CutLineWarning
from smupar_transfer.records.spec import (
    MASK_NAMES,
    SCHEMA_VERSION,
    Activation,
    BudgetSpec,
    DataSpec,
    Decay,
    GPTSpec,
    MaskKind,
    MLPSpec,
    ModelSpec,
    ModuleSpec,
    Positions,
    Precision,
    RunSpec,
    SparsitySpec,
    chance_loss,
)
from smupar_transfer.records.store import COORDINATES_FILE, RECORDS_FILE, CoordinateStore, RunStore, Store
from smupar_transfer.records.tuned import Confirmation, SearchedOn, Tuned, read_tuned, write_tuned
from smupar_transfer.records.yamls import dump_yaml, load_yaml

__all__ = [
    "COORDINATES_FILE",
    "LARGEST_BY_HAND",
    "LARGEST_PAGE",
    "MANIFEST_FILE",
    "MASK_NAMES",
    "RECORDS_FILE",
    "REMARKS_FILE",
    "SCHEMA_VERSION",
    "Activation",
    "BudgetSpec",
    "Confirmation",
    "CoordinateRecord",
    "CoordinateStore",
    "CutLineWarning",
    "DataSpec",
    "Decay",
    "Design",
    "Environment",
    "Evaluation",
    "FailureStore",
    "FileClaims",
    "FileKind",
    "GPTSpec",
    "LayerSizes",
    "LayerSparsity",
    "MLPSpec",
    "Manifest",
    "MaskKind",
    "ModelSpec",
    "ModuleSpec",
    "Positions",
    "Precision",
    "RunFailure",
    "RunRecord",
    "RunSpec",
    "RunStore",
    "RunsFailedError",
    "SearchedOn",
    "SparsitySpec",
    "Store",
    "Tuned",
    "chance_loss",
    "dump_yaml",
    "from_plain",
    "identify",
    "lacks_memory",
    "load_json",
    "load_yaml",
    "lock_of",
    "memory_reason",
    "read_manifest",
    "read_text",
    "read_tuned",
    "refuse_other",
    "regular",
    "require_name",
    "require_writable",
    "result_names",
    "to_plain",
    "trained_runs",
    "write_atomically",
    "write_manifest",
    "write_tuned",
]
