"""Options of groups: their files, and which one a person may have meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.keys import keys_of
from smupar_transfer.app.options import KEY_MEANT, folders, no_such_option, options_of
from smupar_transfer.app.schema import GROUPS
from smupar_transfer.sweeps import shipped


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_says_in_its_first_line_what_it_is(group: str) -> None:
    options = options_of(group, folders(None))
    assert options
    for name, line in options.items():
        assert line, name
        assert not line.startswith("#")


def test_options_of_a_persons_own_are_among_them_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    for name, line in (("mine", "# My own.\n"), ("base", "# Mine, too.\n"), ("bare", "kind: gpt\n")):
        path = tmp_path / "tuning" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(line)
    assert folders(str(tmp_path)) == [shipped.CONF, tmp_path, shipped.SWEEPS]
    options = options_of("tuning", folders(str(tmp_path)))
    assert list(options) == ["bare", "base", "mine", "with_weight_decay"]
    assert (options["mine"], options["base"], options["bare"]) == ("My own.", "Mine, too.", "")
    assert options_of("nosuch", folders(str(tmp_path))) == {}


def test_a_number_is_told_the_key_that_takes_one() -> None:
    assert no_such_option("sparsity", "0.9", ["random"]) == (
        "sparsity=0.9: there is no such option; did you mean target.sparsity=0.9?"
    )
    assert "choose one of adamw, sgd" in no_such_option("optimizer", "3", ["adamw", "sgd"])
    known = {name for command in COMMANDS for name in keys_of(command)}
    assert set(KEY_MEANT.values()) <= known


def test_a_path_is_told_the_key_that_takes_one() -> None:
    assert no_such_option("data", "my.txt", ["text"]).endswith("for a file of your own: data=text data.path=my.txt")


def test_a_slip_is_told_the_nearest_option_and_all_of_them() -> None:
    assert no_such_option("optimizer", "AdamX", ["adamw", "sgd"]) == (
        "optimizer=AdamX: there is no such option; did you mean adamw? choose one of adamw, sgd"
    )
    assert no_such_option("model", "", ["gpt", "mlp"]) == "model=: there is no such option; choose one of gpt, mlp"
