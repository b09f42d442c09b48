"""One mutant: written where a person would put it, read, and judged."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostile.subjects import Subject
from smupar_transfer.theory import InputError

LONGEST_MESSAGE = 300
SECONDS = 2.0
PATIENCE_SECONDS = 30.0
"""On a busy machine, until a mutant counts as hanging; what must be below ``SECONDS`` is time on the processor."""
MEMORY_BYTES = 4 << 30
"""That reading may add to the address space."""
RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn", "socket.connect")
CHANGES_FILES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


class Guard:
    """Notes what a reader does that it must not: run something, or change a file outside of a folder.

    Python's audit hooks stay for good, so that one guard serves all mutants of a process.
    """

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self, *folders: Path) -> Iterator[list[str]]:
        """Watch while the block runs.

        Args:
            folders: Where files may be changed.

        Yields:
            What was done beyond that.
        """
        self.seen, self.folders = [], (*map(str, folders), "/dev/null")
        try:
            yield self.seen
        finally:
            self.folders = ()

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.folders:
            return
        if event in RUNS_CODE:
            self.seen.append(event)
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o3
        path = arguments[0] if arguments else None  # a number: a file that is open already
        needless = event == "os.mkdir" and Path(str(path)).is_dir()  # as pathlib does where a folder may exist
        if (writes or event in CHANGES_FILES) and self._is_outside(path) and not needless:
            self.seen.append(f"{event} {path}")

    def _is_outside(self, path: object) -> bool:
        return isinstance(path, str) and not path.startswith(self.folders)


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        kind: The kind of file.
        number: Which of all mutants it is; with the seed, it makes it again.
        mutation: What was done to the file.
        refused: Whether it was refused; others were read, and what was read is what the file says.
        fault: What the reader did wrong; empty if nothing.
        seconds: Its time on the processor.
        characters: The length of the message.
    """

    kind: str
    number: int
    mutation: str
    refused: bool
    fault: str
    seconds: float
    characters: int = 0


def judge(subject: Subject, number: int, seed: int, good: Path, scratch: Path, guard: Guard) -> Outcome:
    """Make a mutant and read it.

    Args:
        subject: The kind of file.
        number: Which mutant.
        seed: The seed of all.
        good: The folder with a good file of every kind.
        scratch: A folder that this mutant has for itself.
        guard: Watches the reader.
    """
    source = random.Random(f"{seed} {number}")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(good / subject.name, scratch)
    path = next(iter(sorted(scratch.glob(subject.file.replace("KEY", "*")))))
    content, names = path.read_bytes(), list[str]()
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        mutation = source.choice(subject.mutations)
        content, names = mutation(content, source), [*names, mutation.__name__]
    path.write_bytes(content)
    started = time.process_time()
    with guard.watching(scratch, Path("/tmp/smupar_transfer-")) as misdeeds, _limits():
        message, fault = _read(subject, path)
    seconds = time.process_time() - started
    fault = fault or "; ".join(misdeeds) or (f"took {seconds:.1f} s" if seconds > SECONDS else "")
    return Outcome(subject.name, number, "+".join(names), message is not None, fault, seconds, len(message or ""))


def _read(subject: Subject, path: Path) -> tuple[str | None, str]:
    """The message of a refusal, if it was one, and what is wrong with how the reader answered."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            subject.read(path)
        except InputError as error:
            message = str(error)
            if "\n" in message or "\r" in message or len(message) > LONGEST_MESSAGE:
                return message, f"a message of {len(message)} characters and {len(message.splitlines())} lines"
            return message, ""
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return None, f"{type(error).__name__}: {str(error)[:200]}"
    return None, ""


@contextmanager
def _limits() -> Iterator[None]:
    """A limit of time and of memory."""

    def late(number: int, frame: object) -> None:
        del number, frame
        raise TimeoutError("hangs")

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES, before[1]))
    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Counts by kind of file."""
    rows: dict[str, dict[str, float]] = {}
    for kind, count in sorted(Counter(outcome.kind for outcome in outcomes).items()):
        own = [outcome for outcome in outcomes if outcome.kind == kind]
        rows[kind] = {
            "mutants": count,
            "refused": sum(outcome.refused for outcome in own),
            "read": sum(not outcome.refused and not outcome.fault for outcome in own),
            "faults": sum(bool(outcome.fault) for outcome in own),
            "longest_message": max(outcome.characters for outcome in own),
            "slowest_seconds": round(max(outcome.seconds for outcome in own), 3),
        }
    return rows
