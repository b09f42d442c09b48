"""What a composed configuration is checked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.checks import MAY_BE_EMPTY, check_composed, check_own_folder
from smupar_transfer.app.flags import WordError
from smupar_transfer.app.keys import Takes, keys_of
from smupar_transfer.sweeps import shipped
from smupar_transfer.theory import InputError

Compose = Callable[..., DictConfig]


def given(command: str) -> list[str]:
    return ["sweep=x"] if command in ("sweep", "plot") else []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_ships_passes(composed: Compose, command: str) -> None:
    check_composed(command, composed(command, *given(command)))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_text_is_empty_but_those_that_may_be(composed: Compose, command: str) -> None:
    for name in (name for name, key in keys_of(command).items() if key.takes is Takes.TEXT and "." not in name):
        config = composed(command, *given(command))
        OmegaConf.update(config, name, "")
        if (command, name) in MAY_BE_EMPTY:
            check_composed(command, config)
            continue
        with pytest.raises(InputError, match=f"^{name}=: must not be empty"):
            check_composed(command, config)


@pytest.mark.parametrize("value", [2**63, -(2**63), 10**400])
def test_whole_numbers_have_64_bits(composed: Compose, value: int) -> None:
    """Larger ones once were trained with, and left records that could not be read."""
    config = composed("train")
    config.seed = value
    with pytest.raises(InputError, match=r"^seed=.*: is out of range; whole numbers have 64 bits"):
        check_composed("train", config)
    config.seed = 2**63 - 1
    check_composed("train", config)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("device=gpu", "^device=gpu: is neither cpu nor cuda; a graphics card is cuda"),
        ("device=cuda:", "^device=cuda:: is neither cpu nor cuda"),
        ("threads=0", "^threads=0: must be at least 1"),
        ("sparsity.backend=fastest", "^sparsity.backend=fastest: is not one of auto, masked"),
        ("data.dtype=unit16", r"^data.dtype=unit16: is not one of uint8, .*; did you mean uint16\?"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "transfer", "train"])
def test_a_word_that_no_command_takes_is_refused_where_none_is_needed(
    composed: Compose, command: str, word: str, message: str
) -> None:
    """Commands that compute nothing used to take any device."""
    with pytest.raises(InputError, match=message):
        check_composed(command, composed(command, word))


@pytest.mark.parametrize("word", ["device=cuda:1", "device=cuda", "threads=null", "sparsity.backend=csr"])
def test_words_that_some_command_takes_pass(composed: Compose, word: str) -> None:
    check_composed("explain", composed("explain", word))


@pytest.mark.parametrize("key", ["colour", "model.colour", "hparams.colour", "data.colour"])
def test_a_key_that_was_forced_in_is_refused(composed: Compose, key: str) -> None:
    config = composed("train")
    with open_dict(config):
        OmegaConf.update(config, key, 1, force_add=True)
    with pytest.raises(WordError, match=f"^{key}: there is no such key"):
        check_composed("train", config)


def test_a_part_of_a_folders_name_has_255_bytes_at_most(composed: Compose) -> None:
    for name, fits in (("a" * 255, True), (f"{'a' * 255}/{'b' * 255}", True), ("a" * 256, False), ("ü" * 128, False)):
        config = composed("train")
        config.name = name
        if fits:
            check_composed("train", config)
        else:
            with pytest.raises(InputError, match=r"^name=.*more than 255 bytes"):
                check_composed("train", config)


def test_a_folder_of_a_persons_own_may_hold_all_but_what_the_package_has(tmp_path: Path) -> None:
    for name in ("model/mine.yaml", "tuning/base.yaml", "sweep.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder in (None, str(tmp_path), str(shipped.CONF), "nowhere"):
        check_own_folder("train", folder)
    with pytest.raises(WordError, match=r"sweep\.yaml: the package has sweep\.yaml, too"):
        check_own_folder("sweep", str(tmp_path))
    (tmp_path / "model" / "gpt.yaml").touch()
    with pytest.raises(WordError, match=r"model/gpt\.yaml: the package has model/gpt\.yaml, too"):
        check_own_folder("train", str(tmp_path))
