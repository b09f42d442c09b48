"""Plain data to dataclasses and back, and files that are whole or absent."""

from __future__ import annotations

import errno
import marshal
import os
import tempfile
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

from smupar_transfer.theory import InputError, shown, shown_text

T = TypeVar("T")

FOLDER_ATTEMPTS = 20
"""How often a folder is made anew that somebody removes before a file is in it."""
SHOWN_NAMES = 10
"""Unknown keys that a message lists: a file of something else has hundreds."""

MOST_SHARED = 10_000
"""Values of a kind that are remembered to be shared; then it begins anew, for where all are different."""

# what nothing reads is a slip of the pen or of another version, and would be lost without a word
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


def _strict_float(value: Any, _: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        # YAML 1.1 reads 1e-3 as text
        hint = " (YAML wants a point: 1.0e-3)" if isinstance(value, str) and "e" in value else ""
        raise ValueError(f"{shown(value)} is not a number{hint}")
    return float(value)


def _strict_int(value: Any, _: type) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    return value


def _strict_text(value: Any, _: type) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text")
    return value


def _strict_choice(value: Any, kind: type[StrEnum]) -> StrEnum:
    choice = _strict_text(value, str)
    if choice not in list(kind):
        raise ValueError(f"{shown(choice)} is not one of {', '.join(kind)}")
    return kind(choice)


def _strict_bool(value: Any, _: type) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not true or false")
    return value


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _strict_tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is not a list")
    items: Any = list[get_args(kind)[0]]  # type: ignore[misc]
    return tuple(_CONVERTER.structure(list(value), items))


_CONVERTER.register_structure_hook_func(_is_tuple, _strict_tuple)
# without these, cattrs calls int(), float(), bool() and str() on whatever it gets: "false" would be true
_CONVERTER.register_structure_hook(str, _strict_text)
_CONVERTER.register_structure_hook(StrEnum, _strict_choice)
_CONVERTER.register_structure_hook(bool, _strict_bool)
_CONVERTER.register_structure_hook(float, _strict_float)
_CONVERTER.register_structure_hook(int, _strict_int)
_CONVERTER.register_unstructure_hook(StrEnum, str)


def share_equal(*kinds: type) -> None:
    """Have equal values of dataclasses that nothing changes be one object when they are read.

    Runs of a sweep have most of their specification in common: of 10^5 records, that saves most of the time it takes to
    build them, and most of their memory.

    Args:
        kinds: Frozen dataclasses.
    """
    for kind in kinds:
        _CONVERTER.register_structure_hook(kind, _sharing(_CONVERTER.gen_structure_attrs_fromdict(kind)))


def _sharing(build: Callable[[Any, Any], T]) -> Callable[[Any, Any], T]:
    known: dict[bytes, T] = {}

    def structure(value: Any, kind: Any) -> T:
        try:
            content = marshal.dumps(value, 2)  # tells 1, 1.0 and true apart, which are equal
        except ValueError:  # no plain data, such as a date that YAML has read: refused below
            return build(value, kind)
        if content not in known:
            if len(known) >= MOST_SHARED:
                known.clear()
            known[content] = build(value, kind)
        return known[content]

    return structure


def to_plain(value: Any) -> Any:
    """Dictionaries, lists, strings and numbers that say the same as a dataclass."""
    return _CONVERTER.unstructure(value)


def from_plain(value: Mapping[str, Any], kind: type[T], key: str, path: Path | str) -> T:
    """Build a dataclass from plain data, refusing unknown, missing and mistyped keys.

    Args:
        value: The plain data, as ``to_plain`` makes it.
        kind: The dataclass to build.
        key: The configuration key that led here, for the message.
        path: The file that the data came from, for the message.

    Raises:
        InputError: the data does not describe a ``kind``; the message names every key at fault.
    """
    if not isinstance(value, Mapping):
        raise InputError(key, str(path), "is not a mapping")
    try:
        return _CONVERTER.structure(value, kind)
    except ClassValidationError as error:
        # what a dataclass says of its own values names the key better than cattrs does, which wraps it into groups
        inner = _first_input_error(error)
        if inner is not None:
            raise InputError(inner.key, inner.value, f"{inner.problem} (in {path})", inner.remedy) from None
        faults = [fault.rpartition(" @ ") for fault in cattrs.transform_error(error, "", _fault)]
        said = (f"{place.lstrip('.')}: {what}" if place else what for what, _, place in faults)
        raise InputError(key, str(path), "; ".join(said)) from None


def _fault(error: BaseException, _: type | None) -> str:
    """What a person has to know of an error inside cattrs; where it is follows after an ``@``."""
    if isinstance(error, KeyError):
        return "missing"
    if isinstance(error, ForbiddenExtraKeysError):
        names = sorted(shown_text(name) if isinstance(name, str) else shown(name) for name in error.extra_fields)
        more = f" and {len(names) - SHOWN_NAMES:,} others" if len(names) > SHOWN_NAMES else ""
        return f"{', '.join(names[:SHOWN_NAMES])}{more}: unknown"
    if isinstance(error, AttributeError):  # cattrs asks whatever it gets for its keys
        return "is not a mapping"
    return shown_text(str(error))


def _first_input_error(error: BaseException) -> InputError | None:
    if isinstance(error, InputError):
        return error
    if isinstance(error, BaseExceptionGroup):
        input_errors = (_first_input_error(inner) for inner in error.exceptions)
        return next((inner for inner in input_errors if inner is not None), None)
    return None


def write_atomically(path: Path, content: str | bytes, key: str = "results_dir") -> None:
    """Write a file so that readers, and a later session after a crash, see all of it or none of it.

    Args:
        path: The file to write; missing folders are made.
        content: The content of the file; text is written as UTF-8.
        key: The configuration key that led here, for the message.

    Raises:
        InputError: the file cannot be written (no permission, disk full); an existing file is left as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        handle, temporary = _temporary_beside(path)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the name changes: after a crash the new name must lead to all of it
        temporary.chmod(0o644)  # mkstemp keeps others from reading
        temporary.replace(path)
    except OSError as error:
        raise _not_written(key, path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> tuple[int, Path]:
    """A new file in the folder of another: within one file system alone does a file take another's place at once."""
    for attempt in range(FOLDER_ATTEMPTS):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        except FileNotFoundError:
            # whoever gathers records removes the folder that they are put in, as soon as it is empty
            if attempt == FOLDER_ATTEMPTS - 1:
                raise
        else:
            return handle, Path(name)
    raise AssertionError("the loop returns or raises")


def require_writable(folder: Path, key: str = "results_dir") -> None:
    """Make a folder, and check that files can be written into it: before what they shall hold is computed.

    Raises:
        InputError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_written(key, folder, error) from error


def _not_written(key: str, path: Path, error: OSError) -> InputError:
    """What to say where nothing can be written; ``mkdir`` says of a file in the place of a folder that it exists."""
    reason = os.strerror(errno.ENOTDIR) if isinstance(error, FileExistsError) else error.strerror or error
    return InputError(key, str(path), f"cannot be written: {reason}", "nothing was changed")
