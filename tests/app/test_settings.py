"""Settings as people type them, and as Hydra reads them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.flags import WordError
from smupar_transfer.app.keys import Takes, keys_of
from smupar_transfer.app.options import folders
from smupar_transfer.app.settings import quoted, readable, sweep_file_named

Run = Callable[..., CompletedProcess[str]]
PARSER = OverridesParser.create()

STRANGE = {
    "sign": "sp/a=b/t.txt",
    "brackets": "my file (v2).txt",
    "number sign": "a#b.txt",
    "umlaut": "über/日本.txt",
    "blank": "a b.txt",
    "comma": "a,b.txt",
    "single quote": "a'b.txt",
    "double quote": 'a"b.txt',
    "both quotes": "a'b\"c.txt",
    "dollar": "$HOME/$(x).txt",
    "home": "~/t.txt",
    "pattern": "texts/[ab]?*.txt",
    "list": "[a,b]",
    "braces": "{a}.txt",
    "mapping": "{a: 1}",
    "reference cut short": "a${b.txt",
    "other signs": "a;b&c!d<e>f`g^h.txt",
    "backslash": "C:\\texts\\",
    "backslash and quote": "a\\'b#",
    "line break": "a\nb.txt",
    "whole number": "+5",
    "number": "1.50",
    "power of ten": "1e3",
    "digits and underscore": "2024_01",
    "infinite": "inf",
    "truth value": "True",
    "URL": "postgresql://u:p=w#x@h/db?a=b&c=d",
}


def value_of(word: str) -> object:
    """What a key holds in the end if Hydra is given a word."""
    override = PARSER.parse_override(word)
    node = OmegaConf.create({override.key_or_group: override.value()})
    content: Any = OmegaConf.to_container(node, resolve=True)
    return content[override.key_or_group]


def read(*words: str, command: str = "train", multirun: bool = False) -> list[str]:
    return readable(command, words, folders(None), multirun=multirun)


@pytest.mark.parametrize("name", STRANGE)
def test_text_is_taken_as_it_is_typed(name: str) -> None:
    text = STRANGE[name]
    assert value_of(*read(f"data.path={text}")) == text


def test_most_of_these_mean_something_else_to_hydra() -> None:
    """The control of the test above: without quotes Hydra refuses them, or reads a list or a number."""

    def is_read(text: str) -> bool:
        try:
            return value_of(f"data.path={text}") == text
        except (HydraException, ValueError):
            return False

    assert [name for name, text in STRANGE.items() if is_read(text)] == ["blank", "backslash"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_text_is_taken_as_it_is_typed_or_refused_with_the_quotes_that_help(text: str) -> None:
    try:
        (word,) = read(f"prompt={text}")
    except WordError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert text[0] in "'\""
        assert shlex.split(message.rpartition("; write ")[2])
        return
    literal = not any(special in text for special in ("\\", "${")) and text.strip().casefold() != "null"
    if literal and text[0] not in "'\"" and "(" not in text:
        assert value_of(word) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_quotes_change_nothing(text: str) -> None:
    if "${" not in text or "}" not in text:
        assert value_of(f"a={quoted(text)}") == text


@pytest.mark.parametrize(
    "word",
    [
        "data.path='my (v2).txt'",
        'data.path="my (v2).txt"',
        "data.path=plain/path-1.txt",
        "data.path=a\\,b.txt",
        "data.path=${results_dir}/t.txt",
        "data.path=${oc.env:HOME}/t.txt",
        "data.path=null",
        "data.path=",
        "data.path=*.txt",
        "data.path= a.txt",
        "+data.path=a.txt",
        "++data.path=a.txt",
        "tuned=null",
        "model.width=64",
        "hparams.learning_rate=1e-3",
        "model=gpt",
        "model=[gpt]",
        "model={width: 3}",
        "grids.sp=[-1.0, 0.0]",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=1",
        "~data.path",
        "seed=range(1,3)",
        "seed=0,1",
    ],
)
def test_what_hydra_reads_as_meant_is_left_as_it_is(word: str) -> None:
    assert read(word) == [word]


def test_a_reference_stays_one_in_a_path_that_needs_quotes() -> None:
    override = PARSER.parse_override(*read("data.path=${results_dir}/my (v2).txt"))
    config = OmegaConf.create({"results_dir": "results", "path": override.value()})
    assert config.path == "results/my (v2).txt"


def test_blanks_at_the_ends_of_a_prompt_are_part_of_it() -> None:
    assert value_of(*read("prompt= The king ")) == " The king "
    assert value_of(*read("name= train ")) == "train"  # as before: a name has none


@pytest.mark.parametrize("word", ["model.width = 64", "model.width =64", "model.width= 64", "study.name = a (b)"])
def test_blanks_around_the_sign_do_no_harm(word: str) -> None:
    key, _, value = word.partition("=")
    (made,) = read(word, command="tune")
    assert made.startswith(f"{key.strip()}=")
    assert str(value_of(made)) == value.strip()


def test_commas_part_values_only_where_several_runs_are_wanted() -> None:
    assert value_of(*read("data.path=a,b.txt")) == "a,b.txt"
    assert read("data.path=a,b.txt", multirun=True) == ["data.path=a,b.txt"]
    assert read("data.path='a (1)',b", multirun=True) == ["data.path='a (1)',b"]
    assert value_of(*read("data.path=my (v2).txt", multirun=True)) == "my (v2).txt"


def refusal(*words: str, command: str = "train", multirun: bool = False) -> str:
    with pytest.raises(WordError) as caught:
        read(*words, command=command, multirun=multirun)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_quotes_that_help_are_shown_as_a_shell_takes_them() -> None:
    message = refusal("data.path=my (v2).txt,b.txt", multirun=True)
    assert message.startswith("data.path=my (v2).txt,b.txt: --multirun splits it at its commas; write ")
    several, single = shlex.split(message.rpartition("; write ")[2].replace(", or, if it is a single value,", ""))
    assert read(several, multirun=True) == [several]
    assert PARSER.parse_override(several).is_sweep_override()
    assert value_of(*read(single, multirun=True)) == "my (v2).txt,b.txt"


@pytest.mark.parametrize("value", ["'a", '"a.txt', "'it's.txt'", '"a"b', "a'", "''a"])
def test_quotes_that_do_not_match_are_told_and_how_to_write_them(value: str) -> None:
    if value == "a'":  # the control: a quote inside is a character like others
        assert value_of(*read(f"tuned={value}")) == value
        return
    message = refusal(f"tuned={value}")
    assert message.startswith(f"tuned={value}: has a quote too many or too few; write ")
    (word,) = shlex.split(message.rpartition("; write ")[2])
    assert read(word) == [word]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model.width:64"], "model.width:64: is no setting; write model.width=64"),
        (["study.storage:a=b"], "study.storage:a=b: is no setting; write study.storage=a=b"),
        (["model.width", "=", "64"], "model.width = 64: is no setting; write model.width=64, without blanks"),
        (["workers", "2"], "workers: is no setting; write KEY=VALUE, as in workers=2"),
        (["width", "64"], "as in model.width=64 or target.width=64"),
        (["model/mlp"], "write KEY=VALUE, as in model=mlp"),
        (["xyzzy"], "xyzzy: is no setting; write KEY=VALUE"),
        ([""], "'': is no setting; write KEY=VALUE"),
        ([" "], "' ': is no setting; write KEY=VALUE"),
        (["=5"], "=5: has no key; write KEY=VALUE"),
        (["model.width=\u22125"], "is not a whole number; write model.width=-5"),
        (["seed=\uff16\uff14"], "is not a whole number; write seed=64"),
        (["hparams.init_std=0\u066b1"], "is not a number; write hparams.init_std=0.1"),
        (["seed=[0"], "seed=[0: is not a whole number"),
        ([f"seed={'9' * 5000}"], "is not a whole number"),
        ([f"seed={'[' * 3000}"], "is not a whole number"),
        (["modle.width=[0"], "modle.width: there is no such key; did you mean model.width?"),
        (["xyzzy=[0"], "xyzzy: there is no such key; --help lists the keys"),
        (["hydra.job.name=a (b)"], "quotes may help: 'hydra.job.name=\"a (b)\"'"),
        (["model=64"], "model=64: there is no such option; did you mean model.width=64?"),
        (["sparsity=0.9"], "sparsity=0.9: there is no such option; did you mean target.sparsity=0.9?"),
        (["parametrization=3"], "there is no such option; choose one of init_only, lr_only, mup"),
        (["data.path=\udcff.txt"], "data.path=\ufffd.txt: is not UTF-8"),
        (["\udcff"], "is not UTF-8"),
    ],
)
def test_a_word_that_cannot_be_used_is_told_with_the_one_that_can(words: list[str], says: str) -> None:
    command = "tune" if words[0].startswith(("study", "workers")) else "train"
    assert says in refusal(*words, command=command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_text_of_every_command_takes_any_text(smupar: Run, command: str) -> None:
    """All of a command at once, but for a sweep, whose file is read at once."""
    text = "sp/a=b (v2)#ü,[x]{y}~$H 'q' \"d\" \\ !&;.txt"
    others = ("sweep", "model.factory")  # the latter is a key of a model of one's own alone
    keys = [name for name, key in keys_of(command).items() if key.takes is Takes.TEXT and name not in others]
    assert "results_dir" in keys
    result = smupar(command, *(f"{key}={text}" for key in keys if key != "model.kind"), "--cfg", "job", "--resolve")
    assert (result.returncode, result.stderr) == (0, "")
    config = OmegaConf.create(yaml.safe_load(result.stdout))
    for key in keys:
        assert OmegaConf.select(config, key) == ("gpt" if key == "model.kind" else text), key


def test_the_file_of_a_model_of_ones_own_may_have_any_name(smupar: Run) -> None:
    text = "sp/a=b (v2)#ü,[x]{y}~$H 'q' \"d\" \\ !&;.py"
    result = smupar("explain", "model=module", f"model.factory={text}", "--cfg", "job", "--resolve")
    assert (result.returncode, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout)["model"]["factory"] == text


@pytest.mark.parametrize("name", ["my (v2), #1.yaml", "a=b/grid.yaml", "über's.yaml", "[1].yaml"])
def test_a_sweep_file_may_have_any_name(
    smupar: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    grid_file.rename(tmp_path / name)
    for word in (name, f"sweep={name}"):
        result = smupar("plan", word, *tiny)
        assert result.returncode == 0, result.stderr
        assert "Does a grid of a dozen tiny runs work?" in result.stdout


def test_its_result_may_have_any_name_too(smupar: Run, tiny: tuple[str, ...], grid_file: Path, tmp_path: Path) -> None:
    grid_file.rename(tmp_path / "my (v2), #1.yaml")
    assert smupar("sweep", "my (v2), #1.yaml", "seed=0", "target.sparsity=0", *tiny).returncode == 0
    result = smupar("plot", "my (v2), #1.yaml")
    assert result.returncode == 0, result.stderr


def test_only_a_file_that_is_there_is_taken_for_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "a=b.yaml").touch()
    assert sweep_file_named("plan", ["a=b.yaml", "seed=1"]) == ["sweep=a=b.yaml", "seed=1"]
    assert sweep_file_named("plan", ["a=c.yaml", "recipe=a.yaml"]) == ["a=c.yaml", "recipe=a.yaml"]
    assert sweep_file_named("train", ["a=b.yaml"]) == ["a=b.yaml"]


def test_a_text_with_a_strange_name_is_trained_on(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """The whole way: today's "mismatched input '=' expecting <EOF>"."""
    for name in ("sp/a=b.txt", "my file (v2).txt", "ü#,.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"abcdefgh" * 500)
        folder = Path("results, all of (v2)") / name
        result = smupar("train", *tiny, f"data.path={name}", f"results_dir={folder}")
        assert result.returncode == 0, result.stderr
        assert (folder / "train" / "records.jsonl").exists()
