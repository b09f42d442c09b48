"""Flags, anywhere on the command line, and those that are none."""

from __future__ import annotations

import pytest
from hydra._internal.utils import get_args_parser

from smupar_transfer.app.flags import FLAGS, FLAGS_WITH_VALUE, WordError, sorted_line


def test_flags_may_stand_anywhere_and_go_first() -> None:
    line = sorted_line("train", ["seed=1", "--cfg", "job", "a=b", "-cd", "own", "--resolve"])
    assert line.settings == ("seed=1", "a=b")
    assert line.flags == (("--cfg", "job"), ("--config-dir", "own"), ("--resolve", None))
    assert line.words() == ["--cfg", "job", "--config-dir", "own", "--resolve", "seed=1", "a=b"]
    assert line.has("--resolve")
    assert not line.has("--multirun")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["--config-dir=own"], (("--config-dir", "own"),)),
        (["--config-d", "own"], (("--config-dir", "own"),)),
        (["--multi"], (("--multirun", None),)),
        (["-m"], (("--multirun", None),)),
        (["-h"], (("--help", None),)),
        (["--info"], (("--info", None),)),
        (["--info", "defaults"], (("--info", "defaults"),)),
        (["--info", "seed=1"], (("--info", None),)),
        (["--cfg", "job", "--package", "model"], (("--cfg", "job"), ("--package", "model"))),
        ([], ()),
    ],
)
def test_a_flag_is_known_in_all_of_its_forms(words: list[str], flags: tuple[tuple[str, str | None], ...]) -> None:
    assert sorted_line("train", words).flags == flags


def test_two_dashes_end_the_flags() -> None:
    line = sorted_line("train", ["--resolve", "--cfg", "job", "--", "seed=1", "--help"])
    assert line.settings == ("seed=1", "--help")
    assert line.words() == ["--resolve", "--cfg", "job", "--", "seed=1", "--help"]
    assert sorted_line("train", ["--", "seed=1"]).words() == ["seed=1"]


def test_help_shows_nothing_else() -> None:
    line = sorted_line("train", ["--cfg", "job", "--help", "--config-dir", "own", "--multirun"])
    assert line.without("--help").flags == (("--config-dir", "own"),)
    assert sorted_line("train", ["--cfg", "job"]).without("--help").flags == (("--cfg", "job"),)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--width", "64"], "--width: is no flag; write model.width=64 or target.width=64"),
        (["--width=64"], "--width: is no flag; write model.width=64 or target.width=64"),
        (["--model.width=64"], "--model.width: is no flag; write model.width=64"),
        (["--model.widht", "64"], "--model.widht: is no flag; write model.width=64"),
        (["--learning-rate", "0.1"], "--learning-rate: is no flag; write hparams.learning_rate=0.1"),
        (["--learning-rate", "-0.1"], "--learning-rate: is no flag; write hparams.learning_rate=-0.1"),
        (["-lr", "3"], "-lr: is no flag; write hparams.learning_rate=3"),
        (["--steps", "seed=1"], "--steps: is no flag; write budget.steps=VALUE"),
        (["--seed"], "--seed: is no flag; write seed=VALUE"),
        (["--MODEL.WIDTH=64"], "--MODEL.WIDTH: is no flag; write model.width=64"),
        (["--multirum"], "--multirum: is no flag; did you mean --multirun?"),
        (["--config_dir", "own"], "--config_dir: is no flag; did you mean --config-dir?"),
        (["--nonsense"], "--nonsense: is no flag; settings are KEY=VALUE, flags are --help, --cfg job,"),
        (["-x"], "-x: is no flag; settings are KEY=VALUE"),
        (["-5"], "-5: is no flag; settings are KEY=VALUE"),
        (["--experimental-rerun", "x"], "--experimental-rerun: is no flag"),
        (["--cfg"], "--cfg: has no value; write --cfg job|hydra|all"),
        (["--cfg", "--resolve"], "--cfg: has no value"),
        (["--cfg", "jobs"], "--cfg=jobs: is not one of job, hydra, all"),
        (["--config-dir"], "--config-dir: has no value; write --config-dir FOLDER"),
        (["--config-dir="], "--config-dir: has no value; write --config-dir FOLDER"),
        (["--help=yes"], "--help=yes: takes no value; write --help"),
        (["--info=x"], "--info=x: is not one of all, config, defaults,"),
        (["--cfg", "job", "--multirun"], "--cfg: does not go with --multirun; leave one of them out"),
        (["--resolve"], "--resolve: changes what --cfg shows; write --cfg job --resolve"),
        (["--package", "x"], "--package: changes what --cfg shows"),
    ],
)
def test_a_flag_that_cannot_be_is_told_with_what_can(words: list[str], says: str) -> None:
    with pytest.raises(WordError) as caught:
        sorted_line("train", words)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_keys_of_other_commands_are_not_suggested() -> None:
    with pytest.raises(WordError, match="settings are KEY=VALUE"):
        sorted_line("train", ["--workers", "2"])
    with pytest.raises(WordError, match="write workers=2"):
        sorted_line("tune", ["--workers", "2"])


def test_they_are_hydras() -> None:
    """Every one but that which unpickles a file, in both forms, and with a value exactly where Hydra's has one."""
    actions = {option: action for action in get_args_parser()._actions for option in action.option_strings}
    named = {name for flag in FLAGS for name in (flag.name, flag.short) if name}
    assert set(actions) - named == {"--experimental-rerun"}
    assert named - set(actions) == {"--plugin"}, "the one flag that is ours"
    assert {name for name in named & set(actions) if actions[name].nargs != 0} | {"--plugin"} == set(FLAGS_WITH_VALUE)
