"""Records are not believed as they stand: anybody can edit a line, cut a file short or put two files together.

What a record says of its run must agree with the run it names, and its numbers must be ones that a training can have.
"""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from smupar_transfer.records.coordinates import CoordinateRecord
from smupar_transfer.records.files import from_plain, to_plain
from smupar_transfer.records.jsons import load_json
from smupar_transfer.records.reading import read_text
from smupar_transfer.records.record import RunRecord
from smupar_transfer.records.spec import SCHEMA_VERSION, ModuleSpec
from smupar_transfer.theory import InputError, shown

Record = TypeVar("Record")


class CutLineWarning(UserWarning):
    """A file of records has a last line that was not written to its end."""


CIRCUMSTANCES = ("wall_seconds", "step_seconds", "cpu_seconds", "environment")
"""What may differ between two records of one run: how long it took, and where."""
CHECKSUM = "checksum"
"""Name of the last entry of a line; older lines have none and are believed without."""
REMEDY = "restore it, or take it away: its run is then trained again"


def record_line(record: object) -> str:
    """A record as a line of JSON, its end included."""
    said = _said({"schema": SCHEMA_VERSION, **to_plain(record)})
    return f"{said[:-1]}{_ending(_checksum(said))}\n"


def _said(content: dict[str, Any]) -> str:
    """What the checksum of a line is of: what it says, not how. Tools that order or indent JSON may have had it."""
    # NaN is no JSON, and reading would refuse the line
    return json.dumps(_without(content, (CHECKSUM,)), sort_keys=True, allow_nan=False)


def _checksum(said: str) -> str:
    """A bit that flips on a disk may turn one digit into another, which no other check could tell from a result."""
    return f"{zlib.crc32(said.encode()):08x}"


def _ending(checksum: object) -> str:
    """How a line ends as it is written."""
    return f', "{CHECKSUM}": "{checksum}"}}'


def _as_written(line: str, content: dict[str, Any]) -> bool:
    """Whether a line says what it said when it was written; older ones have no checksum that could tell."""
    if CHECKSUM not in content:
        return True
    before, ending, rest = line.rpartition(_ending(content[CHECKSUM]))
    # ours are in the order of names, and need not be put in order again
    if ending and not rest.strip() and _checksum(before + "}") == content[CHECKSUM]:
        return True
    return bool(content[CHECKSUM] == _checksum(_said(content)))


def gathered_lines(lines: Sequence[str], path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The lines of a file of records, each parsed once: its key, the line, and its content.

    A last line that is cut short, as by a full disk or a copy that was interrupted, is left out with a warning. Who
    gathers by key has the last line of a run that comes again.

    Args:
        lines: The lines of the file, without what ends them.
        path: The file, for messages.

    Raises:
        InputError: a line is damaged, or two lines of one run tell different outcomes; the message names the lines.
    """
    known: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if number == len(lines) and (problem := _torn(line)):
            warnings.warn(f"{path}: its last line, {number}, is left out: {problem}", CutLineWarning, stacklevel=2)
            continue
        content = _load(line, path, number)
        key = content.get("key")
        if not isinstance(key, str):
            raise _damaged(path, number, "has no key")
        # equal ones are no harm: who puts two files together has the runs of both twice
        if key in known and _outcome(content) != _outcome(load_json(lines[known[key] - 1])):
            raise _damaged(path, number, f"is of run {key}, of which line {known[key]} tells another outcome")
        known[key] = number
        yield key, line, content


def _torn(line: str) -> str:
    """Why a line without its end is no whole one; empty if it is."""
    try:
        load_json(line)
    except ValueError as error:
        return str(error)
    return ""


def parse_record(line: str, kind: type[Record], path: Path, content: dict[str, Any] | None = None) -> Record:
    """A record from a line.

    Args:
        line: The line.
        kind: The type of the record.
        path: The file that has the line.
        content: What the line says, where it has been parsed.

    Raises:
        InputError: the line is no record of this version, says what cannot be, or was changed after it was written.
    """
    whole = _load(line, path, None) if content is None else content
    try:
        record = from_plain(_without(whole, ("schema", CHECKSUM)), kind, "results_dir", path)
    except InputError as error:
        what = error.problem.removesuffix(f" (in {path})")
        said = what if error.key == "results_dir" else f"{error.key}={shown(error.value)}: {what}"
        raise _damaged(path, _number(line, path), f"says: {said}", error.remedy or REMEDY) from None
    for problem in _impossible(record, path):
        raise _damaged(path, _number(line, path), problem)
    # last, since what cannot be helps a person more than that something was changed
    if not _as_written(line, whole):
        raise _damaged(path, _number(line, path), "is not as it was written: its checksum tells so")
    return record


def _load(line: str, path: Path, number: int | None) -> dict[str, Any]:
    try:
        content = load_json(line)
    except ValueError as error:
        raise _damaged(path, number or _number(line, path), f"is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION:
        raise _damaged(path, number or _number(line, path), f"is not of schema {SCHEMA_VERSION}", "move it away")
    return content


def _damaged(path: Path, number: int | None, problem: str, remedy: str = REMEDY) -> InputError:
    where = "its record" if number is None else f"line {number}"
    return InputError("results_dir", str(path), f"{where} {problem}", remedy)


def _number(line: str, path: Path) -> int | None:
    """Where a line stands in its file, counted from 1; None if the file has no other."""
    if path.suffix == ".json":
        return None
    lines = read_text(path, "results_dir").split("\n")
    return lines.index(line) + 1 if line in lines else None


def _outcome(content: dict[str, Any]) -> str:
    return json.dumps(_without(content, (*CIRCUMSTANCES, CHECKSUM)), sort_keys=True)


def _without(content: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def _impossible(record: object, path: Path) -> Iterator[str]:
    """What no record can say, as clauses."""
    if not isinstance(record, RunRecord | CoordinateRecord):  # a failure tells of nothing that could be checked
        return
    if record.key != record.spec.key:
        yield f"has key {record.key}, and what it describes has {record.spec.key}"
    if path.suffix == ".json" and record.key != path.stem:
        yield f"is of run {record.key}, of which the file would have the name"
    yield from _impossible_run(record) if isinstance(record, RunRecord) else _impossible_check(record)


def _impossible_run(record: RunRecord) -> Iterator[str]:
    if record.diverged is not (record.validation_loss is None):
        yield f"says diverged={record.diverged} and validation_loss={record.validation_loss}"
    losses = [record.train_loss, record.validation_loss, record.bits_per_byte]
    losses += [loss for row in record.history for loss in (row.train_loss, row.validation_loss)]
    # a person's own loss may be anything; the losses of the built-in networks are cross-entropies
    if not isinstance(record.spec.model, ModuleSpec) and any(loss is not None and loss < 0 for loss in losses):
        yield "has a negative loss, which a cross-entropy never is"
    accuracies = [record.accuracy, *(row.accuracy for row in record.history)]
    if not all(0 <= accuracy <= 1 for accuracy in accuracies if accuracy is not None):
        yield "has an accuracy outside of [0, 1]"
    yield from _impossible_counts(record)


def _impossible_counts(record: RunRecord) -> Iterator[str]:
    budget = record.spec.budget
    # fewer than planned: a run that diverged ended early
    if not 0 <= record.tokens <= budget.tokens:
        yield f"says tokens={record.tokens}, and its budget makes {budget.tokens}"
    if not 0 <= record.nonzero_parameters <= record.parameters:
        yield f"says nonzero_parameters={record.nonzero_parameters} of {record.parameters}"
    for name in ("epochs", "flops_dense", "flops_sparse", "wall_seconds", "step_seconds", "cpu_seconds"):
        if (getattr(record, name) or 0) < 0:
            yield f"says {name}={getattr(record, name)}"
    steps = [row.step for row in record.history]
    if steps != sorted(set(steps)) or not all(1 <= step <= budget.steps for step in steps):
        yield "has validations out of order, or after the end"
    for layer in record.layers:
        if not 0 <= layer.nonzero <= layer.size or layer.size < 1 or layer.weights_per_neuron < 0:
            yield f"has a layer {layer.name} that keeps {layer.nonzero} of {layer.size} weights"
    if record.same_as is not None and not re.fullmatch(r"[0-9a-f]{16}", record.same_as):
        yield "says same_as, and no key of a run"


def _impossible_check(record: CoordinateRecord) -> Iterator[str]:
    steps = record.spec.budget.steps
    if len(record.losses) > steps + 1 or len(record.gradient_norms) > steps:
        yield f"has {len(record.losses)} losses of {steps} steps"
    if record.wall_seconds < 0:
        yield f"says wall_seconds={record.wall_seconds}"
    for layer in record.layers:
        sizes = (*layer.output, *layer.activation, *layer.gradient, *layer.update)
        if not 0 <= layer.density <= 1 or min(sizes, default=0) < 0:
            yield f"has a layer {layer.name} with a negative size, or a density outside of [0, 1]"
