"""Task files: a person's own code, run because they named it and for no other reason."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from smupar_transfer.model import Task, load_task, task_of
from smupar_transfer.theory import InputError

TASK = """
import torch
from torch import nn

class Net(nn.Sequential):
    pass

def make_model(width):
    return Net(nn.Linear(3, width), nn.Linear(width, width), nn.Linear(width, 2))

def batches(split, seed):
    yield torch.zeros(4, 3)

def loss(model, batch):
    return model(batch).square().mean()
"""


def written(folder: Path, content: str = TASK, name: str = "task.py") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_a_task_is_known_by_its_content(tmp_path: Path) -> None:
    task = load_task(written(tmp_path))
    assert task_of(task.sha256) is task
    assert load_task(written(tmp_path, name="copy.py")) is task
    other = load_task(written(tmp_path, TASK + "\nroles = {'1.weight': 'hidden'}\ntokens_per_step = 7\n"))
    assert other.sha256 != task.sha256
    assert (other.roles, other.tokens_per_step) == ({"1.weight": "hidden"}, 7)
    assert (task.roles, task.tokens_per_step, task.name) == ({}, 1, "task")


def test_code_is_never_run_because_a_record_names_it() -> None:
    with pytest.raises(InputError, match=r"which is not this one; name that file, unchanged"):
        task_of("0" * 64)


def test_a_model_depends_on_width_and_seed_alone(tmp_path: Path) -> None:
    task = load_task(written(tmp_path))

    def weights(width: int, seed: int) -> torch.Tensor:
        return task.model(width, seed).get_parameter("1.weight")

    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = weights(8, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(weights(8, 0), first)
    assert not torch.equal(weights(8, 1), first)
    assert weights(16, 0).shape == (16, 16)


def test_classes_of_a_task_can_be_pickled(tmp_path: Path) -> None:
    model = load_task(written(tmp_path)).model(4, 0)
    assert isinstance(pickle.loads(pickle.dumps(model)), nn.Sequential)


def test_a_task_may_import_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", ["/nowhere"])
    monkeypatch.chdir("/")
    written(tmp_path, "ANSWER = 42\n", "helper_of_a_task.py")
    task = load_task(written(tmp_path, TASK + "\nfrom helper_of_a_task import ANSWER\ntokens_per_step = ANSWER\n"))
    assert task.tokens_per_step == 42


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = ", "fails: SyntaxError"),
        ("1 / 0", "fails: ZeroDivisionError: division by zero"),
        ("def make_model(width): ...", r"has no function batches, loss; a task has make_model\(width\)"),
        (TASK.replace("def loss", "def lose"), "has no function loss"),
        (TASK + "\nroles = 3", "has roles of type int"),
        (TASK + "\ntokens_per_step = 0", "has tokens_per_step=0"),
        (TASK + "\ntokens_per_step = 1.5", "has tokens_per_step=1.5"),
        (
            TASK + "\nraise SystemExit(3)",
            "fails: SystemExit: 3; put what the file does as a program behind if ",
        ),
        (TASK + "\nimport sys; sys.exit()", "fails: SystemExit: "),
    ],
)
def test_a_file_that_is_no_task_is_refused_in_a_line(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        load_task(path)
    assert str(caught.value).startswith(f"model.factory={path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.py", ""])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read: .*give the path of a Python file"):
        load_task(tmp_path / name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('no')", r"make_model\(8\) fails: RuntimeError: no"),
        ("return 3", r"gives int, not an nn\.Mod"),
    ],
)
def test_a_function_that_makes_no_model_is_refused(tmp_path: Path, body: str, message: str) -> None:
    content = TASK.replace("def make_model(width):\n", f"def make_model(width):\n    {body}\n")
    task: Task = load_task(written(tmp_path, content))
    with pytest.raises(InputError, match=message):
        task.model(8, 0)


def test_a_signal_that_comes_while_a_file_is_run_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        load_task(written(tmp_path, "raise SystemExit(128 + 15)"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return model(batch).square()", r"loss gives \(4, 2\), not a single number; take the mean over the batch"),
        ("return model(batch).square().mean().item()", "loss gives float, not a tensor that holds a single number"),
        ("model(batch)", "loss gives NoneType, not a tensor that holds a single number"),
        (
            "return model(batch).square().mean().detach()",
            "no parameter of the model has a gradient of; compute",
        ),
        ("return model(batch).argmax(1).float().mean()", "that no parameter of the model has a gradient of"),
        ("return model.requires_grad_(False)(batch).mean()", "that no parameter of the model has a gradient of"),
    ],
)
def test_a_loss_that_cannot_be_trained_on_is_refused(tmp_path: Path, body: str, message: str) -> None:
    task = load_task(written(tmp_path, TASK.replace("return model(batch).square().mean()", body)))
    with pytest.raises(InputError, match=message):
        task.loss_of(task.model(4, 0), torch.zeros(4, 3))


def test_a_loss_needs_a_gradient_only_where_gradients_are_computed(tmp_path: Path) -> None:
    task = load_task(written(tmp_path))
    with torch.no_grad():
        assert not task.loss_of(task.model(4, 0), torch.zeros(4, 3)).requires_grad


def test_batches_that_fail_after_the_first_are_refused_in_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, TASK.replace("yield torch.zeros(4, 3)", "yield torch.zeros(4, 3); raise OSError('gone')"))
    stream = load_task(path).stream("train", 3)
    assert next(stream).shape == (4, 3)
    with pytest.raises(InputError, match=r"batches\('train', 3\) fails: OSError: gone \(line 12 of it\)"):
        next(stream)
