"""Checkpoints that several processes write side by side, each its parts of every tensor, and any number can read.

``torch.distributed.checkpoint`` writes and reads the tensors. It keeps its table of contents as a pickle and would load
objects that are no tensors in a way that runs code; neither happens here: tensors alone are given to it, and the table
is read by an unpickler that makes nothing but its entries.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from smupar_transfer.training.checkpoint_files import read_content, sync, write_content
from smupar_transfer.training.distributed.ranks import Ranks

TABLE = ".metadata"
"""The name that ``torch.distributed.checkpoint`` gives to its table of contents."""
REST = "rest.pt"
"""What is no large tensor, and the checksums of the other files; written last."""
NETWORK, OPTIMIZER = "network", "optimizer"
SAFE = {
    "torch.distributed.checkpoint.metadata": {
        *("Metadata", "TensorStorageMetadata", "TensorProperties", "_MEM_FORMAT_ENCODING"),
        *("ChunkStorageMetadata", "MetadataIndex", "StorageMeta"),
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "pathlib": {"PosixPath", "PurePosixPath", "WindowsPath"},
    "collections": {"OrderedDict"},
    "torch": {"Size"} | {name for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
}
"""What a table of contents is made of: modules with names in them, none of which does anything."""


def write_parts(content: dict[str, Any], folder: Path, ranks: Ranks) -> None:
    """Write a checkpoint's content into a folder that all processes see; all of them have to call it.

    Raises:
        OSError: it cannot be written, by one of them.
    """
    tensors = {f"{NETWORK}/{name}": tensor for name, tensor in content[NETWORK].items()}
    scalars: dict[int, dict[str, Any]] = {}
    for index, row in content[OPTIMIZER]["state"].items():
        scalars[index] = {}
        for name, value in row.items():
            # AdamW counts its steps in tensors without dimensions, which cannot be cut
            if isinstance(value, Tensor) and value.ndim:
                tensors[f"{OPTIMIZER}/{index}/{name}"] = value
            else:
                scalars[index][name] = value
    try:
        save(tensors, storage_writer=FileSystemWriter(folder))
    except CheckpointException as error:  # no Exception of Python's
        _, (reason, _) = min(error.failures.items())
        raise OSError(getattr(reason, "errno", None), getattr(reason, "strerror", None) or str(reason)) from None
    # the writer of torch names files by the rank; each process sums up what it wrote itself
    mine = sorted(path for path in folder.iterdir() if path.name.startswith(f"__{ranks.rank}_"))
    sums = {path.name: _sum(path) for path in mine}
    everybodys = {name: checksum for part in ranks.gathered(sums) for name, checksum in part.items()}
    if not ranks.is_first:
        return
    if lost := sorted(name for name in everybodys if not (folder / name).exists()):
        raise OSError(None, f"{lost[0]} of another machine is not there: all machines need to share this folder")
    rest = {
        **{name: value for name, value in content.items() if name not in (NETWORK, OPTIMIZER)},
        "scalars": scalars,
        "param_groups": content[OPTIMIZER]["param_groups"],
        "sums": {**everybodys, TABLE: _sum(folder / TABLE)},
    }
    # last: a folder without it is no checkpoint
    write_content(rest, folder / REST)
    sync(folder)


def read_parts(folder: Path) -> dict[str, Any]:
    """The content of such a checkpoint, whole, in this process alone.

    Raises:
        ValueError: it is damaged, or something else.
        OSError: it cannot be read.
    """
    rest = read_content(folder / REST)
    if not isinstance(rest, dict) or not {"scalars", "param_groups", "sums"} <= set(rest):
        raise ValueError(f"{REST} holds something else")
    sums, groups, scalars = (rest.pop(name) for name in ("sums", "param_groups", "scalars"))
    for name, checksum in sums.items():
        # a name with a folder in it would lead elsewhere
        if name != Path(name).name or _sum(folder / name) != checksum:
            raise ValueError(f"{name} is damaged")
    reader = _Reader(folder)
    table = reader.checked_table(set(sums))
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in table.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    try:
        with warnings.catch_warnings():  # it remarks that this process is alone, which is what was asked for
            warnings.simplefilter("ignore", UserWarning)
            load(tensors, storage_reader=reader, no_dist=True)
    except CheckpointException as error:
        raise ValueError(f"its parts cannot be put together: {error}") from None
    state = {index: dict(row) for index, row in scalars.items()}
    for name, tensor in tensors.items():
        kind, _, rest_of_name = name.partition("/")
        if kind == OPTIMIZER:
            index, _, entry_name = rest_of_name.partition("/")
            state.setdefault(int(index), {})[entry_name] = tensor
    network = {name.partition("/")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{NETWORK}/")}
    return {**rest, NETWORK: network, OPTIMIZER: {"state": state, "param_groups": groups}}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _TableUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The parts of a table, and nothing else that a pickle may name."""
        if name not in SAFE.get(module, ()):
            raise pickle.UnpicklingError(f"{TABLE} names {module}.{name}, which is no part of a table of contents")
        return super().find_class(module, name)


class _Reader(FileSystemReader):
    """Reads the table of contents without running what may be in it."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """See ``StorageReader``."""
        del args, kwargs
        with (Path(self.path) / TABLE).open("rb") as file:
            table = _TableUnpickler(file).load()
        if not isinstance(table, Metadata):
            raise ValueError(f"{TABLE} is no table of contents")
        return table

    def checked_table(self, files: set[str]) -> Metadata:
        """The table of contents, if it has tensors alone, which lie in some files of the folder and fit into them."""
        table = self.read_metadata()
        entries = table.state_dict_metadata.values()
        if not all(isinstance(entry, TensorStorageMetadata) for entry in entries):
            raise ValueError(f"{TABLE} lists what is no tensor")  # it would be unpickled
        if not {info.relative_path for info in table.storage_data.values()} <= files:
            raise ValueError(f"{TABLE} leads to other files")
        sizes = [entry.size.numel() * entry.properties.dtype.itemsize for entry in entries]  # type: ignore[union-attr]
        if sum(sizes) > sum((Path(self.path) / name).stat().st_size for name in files):
            raise ValueError(f"{TABLE} lists more than there is")
        return table
