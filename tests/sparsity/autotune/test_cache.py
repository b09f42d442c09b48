"""Timings are kept in a file that may be damaged, locked away or wanted by several processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smupar_transfer.sparsity import Timing
from smupar_transfer.sparsity.autotune import cache
from smupar_transfer.sparsity.autotune.cache import Timings, remembered

DATE = "2026-11-28T12:00:00+00:00"
FOUND = {"masked": Timing(1.0, 0.25, 4.0, 0.05, DATE), "native": Timing(0.1, 0.01, 8.5, None, DATE)}
PROGRAM = """
import sys, time
from pathlib import Path
from smupar_transfer.sparsity.autotune.cache import remembered
from smupar_transfer.sparsity.autotune.timing import Timing
folder = Path(sys.argv[1])
(folder / sys.argv[2]).touch()
while not ((folder / "a").exists() and (folder / "b").exists()):
    time.sleep(0.01)
def measure(known):
    with (folder / "measured").open("a") as log:
        log.write(sys.argv[2])
    time.sleep(0.3)
    return {"masked": Timing(float(ord(sys.argv[2])), 0.0, 0.0, None, "2026-11-28T12:00:00+00:00")}
print(remembered(folder / "machine.json", "work", measure)["masked"].products)
"""


class Measure:
    """Counts how often it is asked."""

    def __init__(self, timings: Timings = FOUND) -> None:
        self.timings, self.calls = timings, 0

    def __call__(self, known: dict[str, Timings]) -> Timings:
        self.calls += 1
        self.known = known
        return self.timings


def never(known: dict[str, Timings]) -> Timings:
    raise AssertionError("measured again")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "machine.json"


def test_what_was_measured_is_read_and_never_measured_again(path: Path) -> None:
    assert remembered(path, "one", Measure()) == FOUND
    other = Measure({"masked": Timing(3.0, 0.0, 4.0, 0.0, DATE)})
    assert remembered(path, "another", other) == other.timings
    assert remembered(path, "one", never) == FOUND
    assert remembered(path, "another", never) == other.timings


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1, 2]",
        "null",
        '{"work": 3}',
        '{"work": {"masked": 3}}',
        '{"work": {"masked": {"products": 1}}}',
        '{"work": {"masked": {"products": "fast", "update": 0, "structure": 0}}}',
        '{"work": {"masked": {"products": NaN, "update": 0, "structure": 0}}}',
        '{"work": {"masked": {"products": -1, "update": 0, "structure": 0}}}',
        '{"work": {}}',
        '{"work": {"masked": {"products": 1, "update": 0, "structure": 0}}}',
        '{"work": {"masked": {"products": 1, "update": 0, "structure": 0, "spread": 0, "measured": "today"}}}',
        '{"work": {"masked": {"products": 1, "update": 0, "structure": 0, "spread": 0, "measured": "2026-11-28"}}}',
        '{"work": {"masked": {"products": 1, "update": 0, "structure": 0, "spread": -1, "measured": "' + DATE + '"}}}',
    ],
)
def test_a_damaged_file_is_measured_anew_and_mended(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    measure = Measure()
    assert remembered(path, "work", measure) == FOUND
    assert measure.calls == 1
    assert remembered(path, "work", never) == FOUND
    assert set(json.loads(path.read_text())) == {"work"}


def test_what_is_not_trusted_is_measured_again_beside_what_else_is_known(path: Path) -> None:
    remembered(path, "one", Measure())
    remembered(path, "another", Measure())
    asked: list[dict[str, Timings]] = []

    def trusts(known: dict[str, Timings]) -> bool:
        asked.append(dict(known))
        return False

    better = Measure({"masked": Timing(0.5, 0.0, 4.0, 0.0, DATE)})
    assert remembered(path, "one", better, trusts) == better.timings
    assert asked == [{"one": FOUND, "another": FOUND}] * 2, "before it has the lock, and then"
    assert set(better.known) == {"one", "another"}
    assert remembered(path, "one", never) == better.timings
    assert remembered(path, "another", never) == FOUND


def test_bytes_that_are_no_text_are_damage_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe\x00{")
    assert remembered(path, "work", Measure()) == FOUND


def _no_folder(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")


def _read_only(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o500)


@pytest.mark.parametrize("spoil", [_no_folder, _read_only])
def test_without_a_cache_it_is_measured_and_forgotten(path: Path, spoil: Callable[[Path], None]) -> None:
    if spoil is _read_only and os.geteuid() == 0:
        pytest.skip("nothing is read-only for root")
    spoil(path)
    measure = Measure()
    assert remembered(path, "work", measure) == remembered(path, "work", measure) == FOUND
    assert measure.calls == 2


def test_a_cache_that_cannot_be_locked_is_still_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered(path, "work", Measure())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(cache, "FileLock", refuse)
    monkeypatch.setattr("smupar_transfer.records.files.tempfile.mkstemp", refuse)
    assert remembered(path, "work", never) == FOUND
    measure = Measure()
    assert remembered(path, "more", measure) == remembered(path, "more", measure) == FOUND
    assert measure.calls == 2


def test_a_failure_to_measure_is_passed_on_and_leaves_the_lock_free(path: Path) -> None:
    with pytest.raises(AssertionError, match="measured again"):
        remembered(path, "work", never)
    assert remembered(path, "work", Measure()) == FOUND


def test_two_processes_measure_once(tmp_path: Path) -> None:
    """Without the lock both would: each sleeps while it measures, and they start together."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    printed = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    first = (tmp_path / "measured").read_text()
    assert first in ("a", "b")
    assert printed == {f"{float(ord(first))}\n"}
