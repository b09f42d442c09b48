"""A model of one's own, in every command: what they do for the built-in GPT they do for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from smupar_transfer.records import CoordinateStore, ModuleSpec, RunStore

Run = Callable[..., CompletedProcess[str]]
TASK = """
import torch
from torch import nn

TEXT = torch.randint(9, (4000,), generator=torch.Generator().manual_seed(0))
tokens_per_step = 32

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.tokens = nn.Embedding(9, width)
        layers = (nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1)) for _ in range(2))
        self.blocks = nn.ModuleList(layers)
        self.mixers = nn.ModuleList(Mixer(width) for _ in range(1))
        self.head = nn.Linear(width, 9)

    def forward(self, ids):
        x = self.tokens(ids)
        for block in [*self.blocks, *self.mixers]:
            x = x + block(x)
        return self.head(x)

class Mixer(nn.Module):
    '''Weights that no module of torch owns: what they do is seen in a forward pass.'''
    def __init__(self, width):
        super().__init__()
        self.experts = nn.Parameter(torch.randn(2, width, width) * 0.02)

    def forward(self, x):
        return torch.einsum("btd,edf->btef", x, self.experts).sum(2)

def make_model(width):
    return Net(width)

def batches(split, seed):
    generator = torch.Generator().manual_seed(seed + (split == "train"))
    for _ in range(3):
        start = torch.randint(len(TEXT) - 9, (4,), generator=generator)
        yield torch.stack([TEXT[i : i + 9] for i in start])

def loss(model, batch):
    logits = model(batch[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
"""
WORDS = ("model=module", "model.factory=task.py", "model.width=8", "budget.steps=6", "budget.evaluations=2")
TARGET = ("target.width=32", "target.sparsity=0.5")


@pytest.fixture(autouse=True)
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "task.py"
    path.write_text(TASK)
    return path


def test_explain_says_what_every_parameter_is_trained_with(smupar: Run) -> None:
    result = smupar("explain", *WORDS, *TARGET, "format=json", "hparams.learning_rate=0.01")
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert {name: row["role"] for name, row in rows.items() if row["role"] != "vector"} == {
        "tokens.weight": "embedding",
        "blocks.0.0.weight": "hidden",
        "blocks.1.0.weight": "hidden",
        "mixers.0.experts": "hidden",
        "head.weight": "readout",
    }
    assert rows["blocks.0.0.weight"]["learning_rate"] == pytest.approx(0.01 / 4 / 0.5)
    assert rows["head.weight"]["forward_multiplier"] == 0.25
    assert rows["mixers.0.experts"]["density"] == 0.5


def test_from_the_search_to_the_trained_target(smupar: Run, task: Path) -> None:
    result = smupar("tune", *WORDS, "study.name=mine", "tuning.n_trials=3")
    assert result.returncode == 0, result.stderr + result.stdout
    tuned = yaml.safe_load(Path("results/mine/tuned.yaml").read_text())
    assert set(tuned["hparams"]) >= {"learning_rate", "init_scale", "input_multiplier", "output_multiplier"}
    assert tuned["hparams"]["init_std"] == 1
    result = smupar("transfer", *WORDS, *TARGET, "tuned=results/mine/tuned.yaml", "recipe=r.yaml")
    assert result.returncode == 0, result.stderr
    assert "own std x" in result.stdout
    assert str(task) not in Path("r.yaml").read_text(), "a recipe names no code that would run by itself"
    command = result.stdout.replace("\n", " ").partition("next: smupar ")[2].split()
    assert {"model=module", "model.factory=task.py", "recipe=r.yaml"} < set(command)
    result = smupar(*command, "budget.evaluations=2")
    assert result.returncode == 0, result.stderr
    (record,) = RunStore(Path("results/train"))
    assert isinstance(record.spec.model, ModuleSpec)
    assert record.spec.hparams.init_scale == tuned["hparams"]["init_scale"]
    assert record.accuracy is None
    assert record.tokens == 6 * 32
    assert {layer.name for layer in record.layers} == {"blocks.0.0.weight", "blocks.1.0.weight", "mixers.0.experts"}
    assert all(layer.nonzero * 2 == layer.size for layer in record.layers)


def test_a_recipe_is_of_one_task_and_of_no_other(smupar: Run, task: Path) -> None:
    assert smupar("transfer", *WORDS, *TARGET, "recipe=r.yaml").returncode == 0
    for words, message in (
        (("recipe=r.yaml",), "is not the task of the recipe"),
        (("recipe=r.yaml", "model=module", "model.factory=other.py"), "is not the task of the recipe"),
        (("recipe=r.yaml", "model=module", "model.factory=task.py", "model.width=16"), "the recipe has 8"),
    ):
        Path("other.py").write_text(TASK + "\n")
        result = smupar("train", *words, "budget.steps=2")
        assert result.returncode == 2
        assert message in result.stderr


def test_training_goes_on_where_it_was_left(smupar: Run) -> None:
    """The same run with and without an end in the middle: dropout and batches follow the step, not the process."""
    words = ("train", *WORDS, *TARGET, "hparams.learning_rate=0.01")
    assert smupar(*words, "name=whole").returncode == 0
    from smupar_transfer.training import loop

    with pytest.MonkeyPatch.context() as patch:
        train_step = loop.train_step

        def interrupted(session: loop.Session) -> float:
            if session.progress.step == 4:
                raise KeyboardInterrupt
            return train_step(session)

        patch.setattr(loop, "train_step", interrupted)
        assert smupar(*words, "name=parts").returncode == 130
    assert smupar(*words, "name=parts").returncode == 0
    whole, parts = (next(iter(RunStore(Path(f"results/{name}")))) for name in ("whole", "parts"))
    assert (whole.validation_loss, whole.history) == (parts.validation_loss, parts.history)


GRID = """
question: Does a sweep of one's own model work?
expected: It does.
cost: a second
grids:
  - parametrization.name: [sp, smupar]
    target.sparsity: [0.0, 0.5]
    hparams.learning_rate: [0.004, 0.016, 0.064]
    seed: [0]
runs: 12
"""
CHECK = """
question: Do sizes stay put on one's own model?
expected: They do.
cost: a second
kind: coordinates
axis: sparsity
grids:
  - parametrization.name: [sp, smupar]
    target.sparsity: [0.0, 0.5, 0.75]
    seed: [0, 1]
runs: 12
"""


def test_sweeps_in_worker_processes_and_their_pages(smupar: Run) -> None:
    Path("grid.yaml").write_text(GRID)
    result = smupar("sweep", "grid.yaml", *WORDS, "target.width=16", "workers=2")
    assert result.returncode == 0, result.stderr + result.stdout
    assert len(list(RunStore(Path("results/grid")))) == 12
    assert "a model of one&#39;s own (task" in Path("results/grid/report.html").read_text()
    Path("task.py").unlink()  # what is drawn again needs records alone
    assert smupar("plot", "grid").returncode == 0


def test_what_the_file_of_a_sweep_sets_is_trained_with(smupar: Run) -> None:
    """The defaults of such a model are not those of the package's own networks; they used to win over the file."""
    own = {"input_multiplier": 3.0, "output_multiplier": 2.0, "init_scale": 1.5}
    words = "".join(f"  - hparams.{name}={value}\n" for name, value in own.items())
    Path("grid.yaml").write_text(GRID.replace("grids:", f"overrides:\n{words}grids:"))
    assert smupar("sweep", "grid.yaml", *WORDS, "parametrization=sp", "target.sparsity=0").returncode == 0
    for record in RunStore(Path("results/grid")):
        assert {name: getattr(record.spec.hparams, name) for name in own} == own
        assert record.spec.hparams.init_std == 1


def test_coordinate_checks(smupar: Run) -> None:
    Path("check.yaml").write_text(CHECK)
    result = smupar("coordinates", "check.yaml", *WORDS[:3], "target.width=64", "budget.steps=2", "require=[]")
    assert result.returncode == 0, result.stderr + result.stdout
    records = list(CoordinateStore(Path("results/check")))
    assert {layer.name for record in records for layer in record.layers} == {
        "blocks.0.0",
        "blocks.1.0",
        "mixers.0.experts",
    }


def test_plan_prices_it(smupar: Run) -> None:
    result = smupar("plan", *WORDS, *TARGET)
    assert result.returncode == 0, result.stderr
    assert "1 runs" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.factory=missing.py",), "model.factory=missing.py: cannot be read"),
        (("data=text", "data.path=task.py"), "data.name=text: is not read by model=module"),
        (("budget.batch_size=3",), "budget.batch_size=3: is not read by model=module"),
        (("budget.sequence_length=3",), "budget.sequence_length=3: is not read by model=module"),
        (("hparams.init_std=0.1",), "hparams.init_std=0.1: is not read"),
        (("model.head_dim=8",), "model.head_dim"),
        (("sample=5",), "needs a byte-level language model"),
    ],
)
def test_words_that_such_a_model_does_not_read_are_refused(smupar: Run, words: tuple[str, ...], message: str) -> None:
    result = smupar("train", *WORDS, *words)
    assert result.returncode == 2, result.stdout
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_model_without_its_file_is_asked_for_it(smupar: Run) -> None:
    result = smupar("train", "model=module")
    assert (result.returncode, result.stderr) == (2, "smupar: model.factory=: must be given\n")


def test_a_range_that_is_not_searched_is_refused(smupar: Run) -> None:
    result = smupar("tune", *WORDS, "tuning.space.init_std.low=0.01")
    assert result.returncode == 2
    assert "tuning.space.init_std.low=0.01: is not searched with model=module" in result.stderr


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("for _ in range(3):", "for _ in range(0):", "gives none"),
        ("for _ in range(3):", "for _ in range(split.nothing):", "fails: AttributeError"),
        ("return nn.functional", "return logits, nn.functional", "loss gives tuple, not a tensor that holds"),
        ("return self.head(x)", "return self.head(x.nothing)", "loss fails: AttributeError"),
        ("return self.head(x)", "return self.head(x.nothing)", "(line 21 of it)"),
    ],
)
def test_faults_of_the_task_are_told_in_a_line(smupar: Run, task: Path, before: str, after: str, message: str) -> None:
    task.write_text(TASK.replace(before, after))
    result = smupar("train", *WORDS)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("smupar: model.factory=task.py: ")]
    assert "Traceback" not in result.stderr


def test_a_task_whose_loss_is_not_a_number_is_a_recorded_outcome(smupar: Run, task: Path) -> None:
    task.write_text(TASK.replace("batch[:, 1:].flatten())", "batch[:, 1:].flatten()) * float('nan')"))
    assert smupar("train", *WORDS).returncode == 0
    (record,) = RunStore(Path("results/train"))
    assert record.diverged
