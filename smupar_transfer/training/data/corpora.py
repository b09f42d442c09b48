"""Corpora of bytes: Python source code that is installed anyway, and files of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np

from smupar_transfer.records import DataSpec, regular
from smupar_transfer.theory import InputError
from smupar_transfer.training.data.files import matches, own_files
from smupar_transfer.training.data.fingerprints import identities, remembered, sha256_of
from smupar_transfer.training.data.reading import contents, readable, require_memory
from smupar_transfer.training.data.tokens import LazyTokens, TokenData, Tokens

BYTES = 256
SKIPPED_FOLDERS = frozenset({"tests", "benchmarks"})


def byte_corpus(name: str, files: Sequence[bytes], fraction: float, path: str | None = None) -> TokenData:
    """Bytes as tokens, with the tail of each file for validation.

    Every file counts in both splits, so that they cover the same subjects however the files are ordered.

    Args:
        name: of the data set.
        files: contents, in a fixed order.
        fraction: part of each file, in (0, 1), rounded down to bytes, that goes to validation.
        path: where a person's own files lie.

    Returns:
        Both splits, pieces of files joined by newlines; the sha256 is that of whole files joined by newlines.

    Raises:
        InputError: there is not a single byte.
    """
    if not any(files):
        raise InputError("data.path" if path else "data", path or name, "is empty: it holds no bytes")
    heads, tails = zip(*(split_tail(content, fraction) for content in files), strict=True)
    train, validation = _joined(heads), _joined(tails)
    return TokenData(
        spec=DataSpec(
            name=name,
            sha256=hashlib.sha256(b"\n".join(files)).hexdigest(),
            train_size=len(train),
            validation_size=len(validation),
            bytes_per_token=1.0,
            path=path,
        ),
        train=train,
        validation=validation,
        vocab_size=BYTES,
    )


def file_corpus(name: str, files: Sequence[Path], fraction: float, path: str | None = None) -> TokenData:
    """``byte_corpus`` of files on disk, of which as little is read as possible.

    Their hash is remembered. A single file is mapped, so that processes share its pages; several are read when the
    first token is asked for.

    Raises:
        InputError: there is not a single byte, or, when tokens are asked for, a file has changed meanwhile.
    """
    sizes = [file.stat().st_size for file in files]
    if any(contents([file for file, size in zip(files, sizes, strict=True) if size == 0], path or name)):
        return byte_corpus(name, contents(files, path or name), fraction, path)  # as in /proc: no size tells
    if len(files) > 1:
        require_memory(files, path or name)
    if not any(sizes):
        raise InputError("data.path" if path else "data", path or name, "is empty: it holds no bytes")
    known = identities(files)
    sha256 = str(remembered(files, "text", lambda: {"sha256": sha256_of(files, b"\n")})["sha256"])
    cuts = [size - int(size * fraction) for size in sizes]

    def read(first: Sequence[int], last: Sequence[int]) -> Tokens:
        pieces = []
        with readable(path or name):
            for file, start, end in zip(files, first, last, strict=True):
                with regular(file) as stream:
                    stream.seek(start)
                    pieces.append(stream.read(end - start))
            # looked at after reading, so that a change meanwhile cannot go unnoticed under the old hash
            if identities(files) != known:
                raise InputError("data.path" if path else "data", path or name, "has changed meanwhile", "begin anew")
        return _joined(pieces)

    def part(first: Sequence[int], last: Sequence[int]) -> Tokens:
        if len(files) == 1:
            return np.memmap(files[0], dtype=np.uint8, mode="r")[first[0] : last[0]]
        lengths = [end - start for start, end in zip(first, last, strict=True) if end > start]
        length = sum(lengths) + max(0, len(lengths) - 1)  # newlines between them
        return cast(Tokens, LazyTokens(length, lambda: read(first, last)))

    train, validation = part([0] * len(files), cuts), part(cuts, sizes)
    return TokenData(DataSpec(name, sha256, len(train), len(validation), 1.0, path), train, validation, BYTES)


def split_tail(content: bytes, fraction: float) -> tuple[bytes, bytes]:
    """A file without its last ``fraction`` (rounded down to bytes), and that rest."""
    cut = len(content) - int(len(content) * fraction)
    return content[:cut], content[cut:]


def load_python(fraction: float) -> TokenData:
    """The source code of the installed ``sympy`` package (BSD licence), without its tests and benchmarks.

    Its .py files sorted by path relative to the package; 16.1 MB and 137 distinct bytes in version 1.14.0.

    Raises:
        InputError: sympy is not installed.
    """
    package = find_spec("sympy")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "data",
            "python",
            "needs the source code of sympy, which is not installed",
            "run: pip install sympy",
        )
    root = Path(package.submodule_search_locations[0])
    with readable(str(root)):
        return file_corpus("python", _python_files(root), fraction)


def load_text(path: str | None, fraction: float) -> TokenData:
    """A person's own files of any encoding.

    Args:
        path: a file, a folder (every file below it, hidden ones left out) or a glob pattern, in which ``**``
            stands for any folders. Files are ordered by path; each counts once, however many links lead to it.
        fraction: see ``byte_corpus``.

    Raises:
        InputError: nothing is there, it is no file, it cannot be read, or it is empty.
    """
    if not path:
        raise InputError("data.path", path, "is needed by data=text", "name a file, a folder or a glob pattern")
    with readable(path):
        return file_corpus("text", own_files(path), fraction, path)


def _python_files(root: Path) -> list[Path]:
    return [file for file in matches("**/*.py", root) if SKIPPED_FOLDERS.isdisjoint(file.relative_to(root).parts)]


def _joined(pieces: Sequence[bytes]) -> Tokens:
    # a file too short to have a part here adds no newline either
    return np.frombuffer(b"\n".join(piece for piece in pieces if piece), dtype=np.uint8)
