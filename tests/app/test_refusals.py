"""What Hydra and OmegaConf refuse, in one line that a person can act on."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import NoReturn, TextIO, cast

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from smupar_transfer.app.commands import explain
from smupar_transfer.app.endings import CheckFailedError, CheckUndecidedError, ExitCode
from smupar_transfer.app.refusals import LAUNCHERS, WithoutOverrides, refusal, worst
from smupar_transfer.records import RunStore

Run = Callable[..., CompletedProcess[str]]

CASES = [
    (["train", "width=64"], "width: there is no such key; did you mean model.width or target.width?"),
    (["train", "lr=0.1"], "lr: there is no such key; did you mean hparams.learning_rate?"),
    (["train", "MODEL.WIDTH=64"], "MODEL.WIDTH: there is no such key; did you mean model.width?"),
    (["train", "xyzzy=1"], "xyzzy: there is no such key; --help lists the keys"),
    (["train", "model@x=gpt"], "model@x: there is no such key; did you mean model?"),
    (["train", "tuning.n_trials=3"], "tuning.n_trials: smupar train has no such key; smupar demo or smupar tune has"),
    (["train", "+workers=3"], "workers: smupar train has no such key; "),
    (
        ["explain", "study.name=x"],
        "study.name: smupar explain has no such key; smupar demo or smupar tune has; did",
    ),
    (["explain", "require=[sp]"], "require: smupar explain has no such key; smupar coordinates has; did you mean rec"),
    (["train", "+foo=1"], "foo: there is no such key; --help lists the keys"),
    (["train", "++foo.bar=1"], "foo: there is no such key"),
    (["train", "++budget.stpes=1"], "budget.stpes: there is no such key; did you mean budget.steps?"),
    (["train", "+hparams.lr=1"], "hparams.lr: there is no such key; "),
    (
        ["train", "model=mlp", "model.head_dim=8"],
        "model.head_dim: there is no such key with this model; model=gpt has it",
    ),
    (["train", "model.factory=f.py"], "model.factory: there is no such key with this model; model=module has it"),
    (["train", "+model=gpt"], "+model=gpt: the group is there already; write model=gpt"),
    (["train", "++parametrization=sp"], "++parametrization=sp: the group is there already; write parametrization=sp"),
    (["train", "model=gpt/small"], "model=gpt/small: there is no such option; "),
    (["train", "parametrization=[sp,mup]"], "parametrization=[sp,mup]: there is no such option; choose one of init_o"),
    (["train", "parametrization=μP"], "parametrization=μP: there is no such option; did you mean mup? choose one of"),
    (["train", "parametrization=SµPar"], "parametrization=SµPar: there is no such option; did you mean smupar? "),
    (["train", "target=0.9"], "target=0.9: there is no such option; did you mean target.sparsity=0.9?"),
    (["train", "target=256"], "target=256: there is no such option; did you mean target.width=256?"),
    (["train", "target.width=-64"], "target.width=-64: must be at least 1"),
    (["train", "+model.width=64"], "+model.width=64: the key is there already; write model.width=64"),
    (["train", "~model.width"], "~model.width: a key cannot be removed; set it: model.width=VALUE"),
    (["train", "~model"], "model: has no option; give model=OPTION"),
    (["train", "~seed"], "seed: must be given"),
    (["train", "~hparams"], "hparams: must be given"),
    (["train", "~xyzzy"], "~xyzzy: there is nothing of that name to remove; --help lists the keys"),
    (
        ["train", "model=gptt"],
        "model=gptt: there is no such option; did you mean gpt? choose one of gpt, ",
    ),
    (["train", "model="], "model=: there is no such option; choose one of gpt, gpt_swiglu, mlp"),
    (["train", "parametrization=SMUPAR"], "parametrization=SMUPAR: there is no such option; did you mean smupar?"),
    (["train", "data=t.txt"], "data=t.txt: there is no such option; for a file of your own: data=text data.path=t.txt"),
    (["train", "model=64"], "model=64: there is no such option; did you mean model.width=64?"),
    (["train", "budget=100"], "budget=100: there is no such option; did you mean budget.steps=100?"),
    (["train", "hparams=3"], "hparams=3: is a group of keys; set hparams.learning_rate=VALUE, "),
    (["tune", "study=x"], "study=x: is a group of keys; set study.name=VALUE or study.storage=VALUE"),
    (["train", "model.width="], "model.width=: Value '' of type 'str' could not be converted to Integer; give a whole"),
    (
        ["train", "seed=1e3"],
        "seed=1e3: Value '1000.0' of type 'float' could not be converted to Integer; give a ",
    ),
    (["train", "seed=null"], "seed=null: has a value that it does not take; give a whole number"),
    (["train", "seed=9223372036854775808"], "seed=9223372036854775808: is out of range"),
    (
        ["train", "target.width=none"],
        "target.width=none: Value 'none' of type 'str' could not be converted to Integer; ",
    ),
    (
        ["train", "model.tied=maybe"],
        "model.tied=maybe: Value 'maybe' is not a valid bool (type str); give true",
    ),
    (["coordinates", "require=sp"], "require=sp: has a value that it does not take; give a list, as in require=[sp]"),
    (["coordinates", "require=sp,mup"], "require=sp,mup: is not a list; write require=[sp,mup]"),
    (["demo", "grids.sp=-1,0"], "grids.sp=-1,0: is not a list; write grids.sp=[-1,0]"),
    (["demo", "grids.lr_only=[0]"], "grids.lr_only: is not there; a plus adds it: +grids.NAME=[0.0]"),
    (["tune", "tuning.space.weight_decay.low=1"], "tuning.space.weight_decay.low: is no range of this search space; "),
    (["tune", "+tuning.space.weight_decay={low: 1}"], "tuning.space.weight_decay: is no range of this search space; "),
    (
        ["tune", "tuning.space.init_std=3"],
        "tuning.space.init_std: is no range of this search space; ranges have ",
    ),
    (["train", "seed=0,1"], "seed=0,1: are several values; add --multirun to run them one after the other"),
    (
        ["train", "hparams.learning_rate=0,01"],
        "hparams.learning_rate=0,01: are several values; add --multirun to run them one after the other, or write "
        "hparams.learning_rate=0.01, with a decimal point",
    ),
    (
        ["train", "target.width=1,024"],
        "target.width=1,024: are several values; add --multirun to run them one after the other, or write "
        "target.width=1024, without a comma",
    ),
    (["train", "hparams.learning_rate=1e-3,"], "hparams.learning_rate=1e-3,: is not a number; give a number"),
    (
        ["train", "hparams.learning_rate=2^-6"],
        "hparams.learning_rate=2^-6: is not a number; give a number, as in hparams.learning_rate=0.015625",
    ),
    (["train", "seed=range(1,3)"], "seed=range(1,3): are several values; add --multirun"),
    (["train", "data.path=${nosuch}"], "data.path: Interpolation key 'nosuch' not found"),
    (["train", "seed=${seed}"], "seed: Recursive interpolation detected"),
    (["train", "--config-dir", "nosuch"], "--config-dir="),
    (["train", "--config-name", "nosuch"], "nosuch: there is no such configuration; leave out --config-name"),
    (["train", "--config-path", "nosuch"], "smupar_transfer.app.nosuch: there is no such configuration; leave out"),
    (["train", "--multirun", "hydra/launcher=xyzzy", "seed=0,1"], "hydra/launcher=xyzzy: there is no such option; "),
    (["train", "--multirun", "model.width=x,y"], "model.width=x: Value 'x' of type 'str' could not be converted"),
    (["train", "name="], "name=: must not be empty"),
    (["train", "results_dir="], "results_dir=: must not be empty; write results_dir=. for this folder"),
    (["tune", "tuned="], "tuned=: must not be empty; leave it out to use hparams"),
    (["train", f"name={'ü' * 128}"], f"name={'ü' * 128}: has a part of more than 255 bytes"),
    (["tune", f"study.name={'a' * 256}"], f"study.name={'a' * 90}"),
    (["train", f"tuned={'a' * 256}"], f"tuned={'a' * 90}"),
]


@pytest.mark.parametrize(("words", "says"), CASES)
def test_whatever_cannot_be_composed_is_one_line_and_code_2(
    smupar: Run, words: list[str], says: str, tmp_path: Path
) -> None:
    result = smupar(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith(f"smupar: {says}"), result.stderr
    assert "Traceback" not in result.stderr
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".jsonl", ".db")]


@pytest.mark.parametrize(
    ("value", "example"),
    [("1e3", "seed=1000"), ("64.0", "seed=64"), ("2**10", "seed=1024"), ("2^10", "seed=1024"), ("1.5", ""), ("x", "")],
)
def test_a_number_in_another_form_is_shown_in_the_one_that_is_taken(smupar: Run, value: str, example: str) -> None:
    message = smupar("train", f"seed={value}").stderr
    assert message.rstrip().endswith(f" as in {example}" if example else "give a whole number")


def test_a_fraction_is_shown_as_a_number(smupar: Run) -> None:
    for word in ("hparams.learning_rate=1/64", "hparams.learning_rate=2**-6"):
        assert "give a number, as in hparams.learning_rate=0.015625" in smupar("train", word).stderr
    assert smupar("train", "hparams.learning_rate=1/0").stderr.rstrip().endswith("give a number")


def test_words_that_are_right_are_not_refused(smupar: Run, tiny: tuple[str, ...]) -> None:
    """The control of the tests above: the same forms where they belong."""
    for words in (
        ["train", "-m", "seed=0,1", *tiny],
        ["train", "++seed=3", "target.width=null", "model.tied=1", *tiny],
        ["demo", "+grids.lr_only=[0.0]", "~grids.mup", "--cfg", "job"],
        ["tune", "tuning.space.init_std={low: 0.1, high: 1}", "~tuning.space.input_multiplier", "--cfg", "job"],
        ["train", "--", "seed=3", *tiny],
        ["coordinates", "require=[sp]", "--cfg", "job"],
    ):
        result = smupar(*words)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_that_is_not_installed_names_the_extra(
    smupar: Run, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    assert smupar("train", "--cfg", "job").returncode == 0  # plugins are there now
    Plugins.instance()
    left = {name: node for name, node in ConfigStore.instance().repo["hydra"]["launcher"].items() if "basic" in name}
    monkeypatch.setitem(ConfigStore.instance().repo["hydra"], "launcher", left)
    result = smupar("train", "--multirun", f"hydra/launcher={launcher}", "seed=0,1")
    assert (result.returncode, result.stderr) == (
        2,
        f"smupar: hydra/launcher={launcher}: is not installed; run: pip install 'smupar-transfer[cluster]'\n",
    )


def test_slurm_off_a_cluster_is_one_line(smupar: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("PATH", "")
    result = smupar("train", "--multirun", "hydra/launcher=submitit_slurm", "seed=0,1")
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith("smupar: hydra/launcher=submitit_slurm: there is no Slurm here")


def test_submitit_trains_here(smupar: Run, tiny: tuple[str, ...]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", "seed=0,1")
    result = smupar("train", "--multirun", *words, *tiny)
    assert result.returncode == 0, result.stderr
    assert {record.spec.seed for record in RunStore(Path("results/train"))} == {0, 1}


def test_every_run_that_fails_says_why_and_the_others_run(smupar: Run, tiny: tuple[str, ...]) -> None:
    """Hydra lists all settings of the first job that failed, and leaves out the others."""
    result = smupar("train", "--multirun", "target.sparsity=1.5,0.5,1.25", *tiny)
    assert result.returncode == 2
    told = [line for line in result.stderr.splitlines() if line.startswith("smupar: ")]
    assert [line.partition(": must")[0] for line in told] == [
        "smupar: target.sparsity=1.5",
        "smupar: target.sparsity=1.25",
    ]
    assert "overrides" not in result.stderr
    assert len(list(RunStore(Path("results/train")))) == 1


def test_a_run_that_fails_in_another_process_is_one_line_too(smupar: Run, tiny: tuple[str, ...]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "budget.batch_size=0")
    result = smupar("train", "--multirun", *tiny, *words)
    assert (result.returncode, result.stderr) == (2, "smupar: budget.batch_size=0: must be at least 1\n")


def test_only_that_list_is_left_out() -> None:
    stream = io.StringIO()
    quiet = cast(TextIO, WithoutOverrides(stream))
    print("Error executing job with overrides: ['a=1']", "more", sep="\n", file=quiet)
    quiet.write("Error executing job with overrides: ['a=1']\n")
    quiet.write("an error of another kind\n")
    assert stream.getvalue().endswith("an error of another kind\n")
    assert "overrides: ['a=1']\n" not in stream.getvalue().splitlines(keepends=True)[-1:]
    assert not quiet.isatty()


def test_the_exit_code_of_several_runs_is_the_worst() -> None:
    assert worst([]) == ExitCode.GOOD
    assert worst([ExitCode.UNDECIDED, ExitCode.CHECK_FAILED]) == ExitCode.CHECK_FAILED
    assert worst([ExitCode.CHECK_FAILED, ExitCode.BAD_INPUT, ExitCode.CRASHED]) == ExitCode.CRASHED


@pytest.mark.parametrize("error", [CheckFailedError("it drifts"), CheckUndecidedError("it is open")])
def test_verdicts_of_several_runs_are_all_told(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def judged(config: object) -> NoReturn:
        raise error

    monkeypatch.setattr(explain, "run", judged)
    result = smupar("explain", "--multirun", "seed=0,1", *tiny)
    assert (result.returncode, result.stderr) == (
        1 if isinstance(error, CheckFailedError) else 3,
        2 * f"smupar: {error}\n",
    )


def test_an_error_of_another_origin_is_left_alone() -> None:
    assert refusal(ValueError("a bug"), "train") is None
    assert refusal(RuntimeError("not about a cluster"), "train") is None


@pytest.mark.parametrize(
    ("name", "content", "words", "says"),
    [
        ("model/mine.yaml", "kind: gpt\nwidth: [1\n", ["model=mine"], "model/mine.yaml, line 3: is not plain YAML"),
        (
            "model/mine.yaml",
            "kind: gpt\nwidth: 3\n",
            ["model=mine"],
            "model=mine: does not say which keys it has",
        ),
        ("model/mine.yaml", "- a\n- b\n", ["model=mine"], "model=mine: does not say which keys it has"),
        ("model/mine.yaml", "defaults: [gpt, _self_]\nwidht: 3\n", ["model=mine"], "model.widht: there is no such key"),
        ("model/mine.yaml", "defaults: [gpt, _self_]\nwidth: x\n", ["model=mine"], "model.width"),
        (
            "model/mine.yaml",
            "defaults: [nosuch, _self_]\n",
            ["model=mine"],
            "In 'model/mine': Could not load 'model/nosuch'",
        ),
        ("model/gpt.yaml", "width: 3\n", [], "own/model/gpt.yaml: the package has model/gpt.yaml, too"),
        ("train.yaml", "a: [1\n", [], "own/train.yaml: the package has train.yaml, too"),
    ],
)
def test_a_persons_own_file_that_cannot_be_used_is_one_line(
    smupar: Run, tmp_path: Path, name: str, content: str, words: list[str], says: str
) -> None:
    path = tmp_path / "own" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    result = smupar("train", "--config-dir", "own", *words)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert says in result.stderr


def test_a_persons_own_file_that_can_be_used_is(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """The control of the test above; a search space may have the name of a shipped one, and wins."""
    for name, content in {
        "model/mine.yaml": "# Mine.\ndefaults: [gpt, _self_]\nmlp_ratio: 2.0\n",
        "tuning/base.yaml": "# Short.\ndefaults: [/schema/tuning@_here_: schema, _self_]\nn_trials: 1\n"
        "startup_trials: 1\npruner_startup_trials: 1\nspace:\n  init_std: {low: 0.1, high: 0.2}\n",
    }.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_text(content)
    result = smupar("tune", "--config-dir", "own", "model=mine", *tiny)
    assert result.returncode == 0, result.stderr
    assert "best of 1 trials" in result.stdout


LONG = {
    "digits": "seed=" + "9" * 100_000,
    "key": "x" * 100_000 + "=1",
    "short key": "x" * 300 + "=1",
    "option": "model=" + "x" * 300,
    "brackets": "xyzzy=" + "[" * 100_000,
    "word": "y" * 100_000,
    "colons": "z" + "://a:" * 20_000,
}


@pytest.mark.parametrize("name", LONG)
def test_a_word_of_any_length_ends_in_a_short_line_at_once(smupar: Run, name: str) -> None:
    started = time.process_time()
    result = smupar("train", LONG[name])
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)
    assert len(result.stderr) < 1300
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory: this machine has too little; use a smaller network"),
        (MemoryError("Unable to allocate 7.28 TiB for an array with shape (9,)"), "too little for 7.28 TiB; use"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:120] can't allocate memory"),
            "memory: this machine has too little; use",
        ),
        (RuntimeError("Storage size calculation overflowed with sizes=[9]"), "memory: this machine has too little"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."), "too little for 20.00 GiB; use"),
    ],
)
def test_too_little_memory_is_no_fault_of_the_program(error: Exception, said: str) -> None:
    """Guards against a traceback where a network, a batch or a corpus is too large for this machine."""
    assert said in str(refusal(error, "train"))


def test_other_errors_of_a_computation_are_told_as_they_are() -> None:
    """The control of the test above."""
    assert refusal(RuntimeError("shapes do not match"), "train") is None


OWN = "defaults:\n  - /schema/data@_here_: data\n  - _self_\n"
BOMB = "".join(f"a{index}: &a{index} [{', '.join([f'*a{index - 1}' if index else 'x'] * 9)}]\n" for index in range(9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{OWN}vocab_size: !!int x\n", "'x' is no int"),
        (f"{OWN}vocab_size: {'9' * 5000}\n", "a whole number of 5,000 digits"),
        (f"{OWN}name: {'[' * 3000}{']' * 3000}\n", "is nested too deeply"),
        (f"{OWN}{BOMB}name: *a8\n", "aliases stand for more than 100,000 values"),
    ],
)
def test_an_option_of_ones_own_is_read_as_a_strangers_file(smupar: Run, tmp_path: Path, text: str, said: str) -> None:
    """Guards against tracebacks of thousands of lines, and a file of a kilobyte that hangs."""
    (tmp_path / "own" / "data").mkdir(parents=True)
    (tmp_path / "own" / "data" / "mine.yaml").write_text(text)
    result = smupar("explain", "--config-dir", str(tmp_path / "own"), "data=mine")
    assert result.returncode == ExitCode.BAD_INPUT
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"smupar: data={tmp_path / 'own' / 'data' / 'mine.yaml'}: ")
    assert said in line
    assert len(line) <= 300
