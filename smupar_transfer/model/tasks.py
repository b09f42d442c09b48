"""A person's own task: a Python file, or functions, that make a model, give batches and compute the loss."""

from __future__ import annotations

import hashlib
import itertools
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.records import LARGEST_PAGE, regular
from smupar_transfer.theory import InputError, is_signal

REQUIRED = ("make_model", "batches", "loss")
KEY = "model.factory"
NOTHING = object()


@dataclass(frozen=True)
class Task:
    """What a task file says, or what functions of a program do.

    Attributes:
        path: The file; of functions, the name of the one that makes the model.
        sha256: The hash of its content, by which records know it; of functions, that of a number of their own.
        make_model: From a width to a model that initialises itself.
        batches: From ``"train"`` or ``"validation"``, and a seed, to batches of any kind; where they end, training goes
            on with those of the next seed.
        loss: From a model and a batch to a loss without dimensions, in nats or whatever is to become small.
        roles: What the file knows of roles, as ``plan`` takes it; optional.
        tokens_per_step: The number of tokens (or examples) of a batch, by which FLOPs are counted; optional, else 1.
        key: What errors name, which is the configuration key of a file, or the argument that functions are given as.
    """

    path: Path
    sha256: str
    make_model: Callable[[int], nn.Module]
    batches: Callable[[str, int], Iterable[Any]]
    loss: Callable[[nn.Module, Any], Tensor]
    roles: Mapping[str, Any] = field(default_factory=dict)
    tokens_per_step: int = 1
    key: str = KEY

    @property
    def name(self) -> str:
        """The name of the file, without its ending."""
        return self.path.stem

    def model(self, width: int, seed: int) -> nn.Module:
        """A model whose initial values depend on width and seed alone; the global stream of random numbers stays.

        Raises:
            InputError: the file's function fails, or gives no module.
        """
        # a person's function draws from the global stream, which nothing else here may depend on
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                made = self.make_model(width)
            except Exception as error:  # whatever a person's code raises
                raise self._failed(f"make_model({width})", error) from error
        if not isinstance(made, nn.Module):
            raise InputError(
                self.key, str(self.path), f"make_model({width}) gives {type(made).__name__}, not an nn.Module"
            )
        return made

    def stream(self, split: str, seed: int) -> Iterator[Any]:
        """The batches of a split.

        Raises:
            InputError: the file's function fails, here or before a later batch, or gives none.
        """
        call = f"batches({split!r}, {seed})"
        try:
            batches = iter(self.batches(split, seed))
            first = next(batches, NOTHING)  # a generator's code runs, and fails, with its first batch
        except Exception as error:  # whatever a person's code raises
            raise self._failed(call, error) from error
        if first is NOTHING:
            raise InputError(self.key, str(self.path), f"{call} gives none")
        return itertools.chain([first], self._rest(batches, call))

    def _rest(self, batches: Iterator[Any], call: str) -> Iterator[Any]:
        """The batches behind the first, in the middle of which the person's code may fail as well."""
        try:
            yield from batches
        except Exception as error:
            raise self._failed(call, error) from error

    def loss_of(self, model: nn.Module, batch: Any) -> Tensor:
        """The loss of a batch, as a float32 scalar.

        Raises:
            InputError: the file's function fails, or gives no single number, or one without a gradient where gradients
                are computed.
        """
        try:
            value: object = self.loss(model, batch)
        except InputError:  # says by itself what is wrong
            raise
        except Exception as error:  # whatever a person's code raises
            raise self._failed("loss", error) from error
        if not isinstance(value, Tensor):
            problem = f"loss gives {type(value).__name__}, not a tensor that holds a single number"
            raise InputError(self.key, str(self.path), problem)
        if value.numel() != 1:
            problem = f"loss gives {tuple(value.shape)}, not a single number"
            raise InputError(self.key, str(self.path), problem, "take the mean over the batch")
        if torch.is_grad_enabled() and not value.requires_grad:
            problem = "loss gives a number that no parameter of the model has a gradient of"
            remedy = "compute it from what the model gives, without detach(), argmax() and frozen parameters"
            raise InputError(self.key, str(self.path), problem, remedy)
        return value.reshape(()).float()

    def _failed(self, call: str, error: Exception) -> InputError:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(self.path)), None)
        where = "" if line is None else f" (line {line} of it)"
        return InputError(self.key, str(self.path), f"{call} fails: {type(error).__name__}: {error}{where}")


_tasks: dict[str, Task] = {}


def load_task(path: str | Path) -> Task:
    """Run a task file, once in a process for each content.

    Raises:
        InputError: there is no such file, it fails, or it lacks a function.
    """
    try:
        file = Path(path).expanduser()
        with regular(file) as opened:
            content = opened.read(LARGEST_PAGE)
    except (OSError, RuntimeError) as error:  # the latter of a ~ without a home
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InputError(KEY, str(path), problem, "give the path of a Python file") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 not in _tasks:
        _tasks[sha256] = _task(file, sha256, _run(file, content, sha256))
    return _tasks[sha256]


def _run(file: Path, content: bytes, sha256: str) -> ModuleType:
    """Import the file as a module of its own; its folder can be imported from, as with ``python FILE``."""
    name = f"smupar_task_{sha256[:16]}"
    module = ModuleType(name)
    module.__file__ = str(file.resolve())
    folder = str(file.resolve().parent)
    sys.modules[name] = module  # classes of it are pickled by this name
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        exec(compile(content, str(file), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if is_signal(error):
            raise
        problem, remedy = f"fails: {type(error).__name__}: {error}", ""
        if isinstance(error, SystemExit):  # a script's, whose exit code would be taken for that of the command
            remedy = "put what the file does as a program behind if __name__ == '__main__'"
        raise InputError(KEY, str(file), problem, remedy) from error
    return module


def _task(file: Path, sha256: str, module: ModuleType) -> Task:
    missing = [name for name in REQUIRED if not callable(getattr(module, name, None))]
    if missing:
        problem = f"has no function {', '.join(missing)}"
        remedy = "a task has make_model(width), batches(split, seed) and loss(model, batch)"
        raise InputError(KEY, str(file), problem, remedy)
    roles = getattr(module, "roles", {})
    if not isinstance(roles, Mapping):
        raise InputError(
            KEY, str(file), f"has roles of type {type(roles).__name__}", "use a mapping of patterns to roles"
        )
    tokens = getattr(module, "tokens_per_step", 1)
    if not isinstance(tokens, int) or tokens < 1:
        raise InputError(KEY, str(file), f"has tokens_per_step={tokens!r}", "use a whole number of at least 1")
    return Task(file, sha256, module.make_model, module.batches, module.loss, roles, tokens)


_counter = itertools.count()


@contextmanager
def task_of_functions(
    make_model: Callable[[int], nn.Module],
    batches: Callable[[str, int], Iterable[Any]],
    loss: Callable[[nn.Module, Any], Tensor],
    roles: Mapping[str, Any],
    tokens_per_step: int,
) -> Iterator[Task]:
    """A task that a program has no file of; this process knows it within the block."""
    name = f"{make_model.__module__}.{getattr(make_model, '__qualname__', type(make_model).__qualname__)}"
    # a number, not the name: two functions may share one, and what is remembered of a model goes by this hash
    sha256 = hashlib.sha256(f"{name} {next(_counter)}".encode()).hexdigest()
    task = Task(Path(name), sha256, make_model, batches, loss, roles, tokens_per_step, key="make_model")
    _tasks[sha256] = task
    try:
        yield task
    finally:
        del _tasks[sha256]


def task_of(sha256: str) -> Task:
    """The task whose file has that hash.

    Raises:
        InputError: no such file was loaded in this process: code is never run because a record names it.
    """
    if sha256 not in _tasks:
        problem = f"the run is of a task file with sha256 {sha256[:8]}..., which is not this one"
        raise InputError(KEY, "", problem, "name that file, unchanged: model=module model.factory=FILE")
    return _tasks[sha256]
