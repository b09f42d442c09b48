"""Refusals of the operating system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.corpora import load_text
from smupar_transfer.training.data.reading import readable


def test_the_file_at_fault_is_named() -> None:
    message = r"^data\.path=folder/file: cannot be read: Permission denied$"
    with pytest.raises(InputError, match=message), readable("folder"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "folder/file")


def test_a_failure_without_a_file_names_the_path() -> None:
    with pytest.raises(InputError, match=r"^data\.path=folder: cannot be read: torn cable$"), readable("folder"):
        raise OSError("torn cable")


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), readable("folder"):
        raise ZeroDivisionError


def test_loaders_report_files_they_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    file = tmp_path / "file"
    file.write_bytes(b"content.")
    monkeypatch.setattr(os, "open", refuse)  # the superuser may read everything, so chmod would not do
    for load in (load_text, load_binary):
        with pytest.raises(InputError, match="cannot be read: Permission denied"):
            load(str(file), 0.1)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_file_that_fails_while_it_is_read() -> None:
    with pytest.raises(InputError, match=r"data\.path=/proc/self/mem: cannot be read"):
        load_text("/proc/self/mem", 0.1)
