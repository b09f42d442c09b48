"""Base hyperparameters of a command: given by hand, from a tuned point, from the file of a sweep, or the defaults."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app.overrides import keys_of, set_by_hand, words_by_hand, words_of_file
from smupar_transfer.model import require_same_proxy
from smupar_transfer.records import RunSpec, SearchedOn, Tuned, read_tuned
from smupar_transfer.theory import HYPERPARAMETERS, BaseHyperparameters, InputError
from smupar_transfer.training import OWN_BATCHES
from smupar_transfer.transfer import Recipe, Source

OWN = {"init_std": 1.0, "input_multiplier": 1.0, "output_multiplier": 1.0}
"""Defaults of a model of a person's own: it initialises itself, and nothing is multiplied."""


@dataclass(frozen=True)
class Base:
    """Base hyperparameters and where they come from.

    Attributes:
        hparams: The values.
        tuned: The tuned point that they come from; None if there is none.
        by_hand: The names of those that a person, or the file of a sweep without a tuned point, gave.
    """

    hparams: BaseHyperparameters
    tuned: Tuned | None
    by_hand: tuple[str, ...]

    @property
    def source(self) -> Source | None:
        """Where all of the values were tuned; None if a single one was not."""
        if self.tuned is None or self.tuned.hparams != self.hparams:
            return None
        return Source.of(self.tuned)

    def __str__(self) -> str:
        if self.tuned is None:
            given = f"given by hand: {', '.join(self.by_hand)}; the others are" if self.by_hand else "are"
            return f"base hyperparameters {given} defaults, which nobody tuned"
        own = f"; by hand: {', '.join(self.by_hand)}" if self.by_hand else ""
        on = ""
        if self.tuned.searched is SearchedOn.TARGET:
            proxy = self.tuned.proxy
            on = f", searched on width {proxy.model.width} at sparsity {1 - proxy.sparsity.density:g} itself"
        return f"base hyperparameters of trial {self.tuned.trial} of study {self.tuned.study}{on}{own}"


def resolve_base(config: DictConfig) -> Base:
    """Base hyperparameters of a configuration.

    What a person typed comes first, then the tuned point that they named, then what the file of a sweep sets, then the
    defaults. A tuned point that the file itself names comes after the file's own values.

    Raises:
        InputError: the tuned point cannot be read, or has no say because every value is given beside it.
    """
    group = OmegaConf.to_container(config.hparams, resolve=True)
    assert isinstance(group, dict)
    values = {str(name): value for name, value in group.items()}
    if config.model.kind == OWN_BATCHES:
        said = {*names_by_hand(config), *_names_of_file()}
        # defaults of conf/ suit our networks; on another model a multiplier that nobody asked for would change what it
        # computes
        values |= {name: value for name, value in OWN.items() if name not in said}
    by_hand = names_by_hand(config)
    tuned = None if config.tuned is None else read_tuned(Path(config.tuned))
    if tuned is None:
        return Base(BaseHyperparameters(**values), None, tuple(by_hand))
    # a file that names a point and values beside it means these to win, as a person who types both does
    if "tuned" not in keys_of(words_by_hand()):
        by_hand = [name for name in values if name in {*by_hand, *_names_of_file()}]
    # a word that would change nothing is refused, not ignored: it was typed for a reason
    if set(by_hand) >= set(HYPERPARAMETERS) - {unread_scale(config)}:
        raise InputError("tuned", config.tuned, "has no say: every hparams.* is given by hand", "leave one of them out")
    merged = {**vars(tuned.hparams), **{name: values[name] for name in by_hand}}
    return Base(BaseHyperparameters(**merged), tuned, tuple(by_hand))


def unread_scale(config: DictConfig) -> str:
    """The name of the one of the two scales of initial values that the configured network has no need of."""
    return "init_std" if config.model.kind == OWN_BATCHES else "init_scale"


def names_by_hand(config: DictConfig) -> list[str]:
    """The names of the base hyperparameters that a person gave."""
    return [key.removeprefix("hparams.") for key in set_by_hand(config, "hparams")]


def _names_of_file() -> list[str]:
    """The names of the base hyperparameters that the file of a sweep sets."""
    return [key.removeprefix("hparams.") for key in keys_of(words_of_file()) if key.startswith("hparams.")]


def with_base(config: DictConfig, base: Base) -> DictConfig:
    """The same configuration with the values written into ``hparams``, so that axes of a grid win over them."""
    resolved = config.copy()
    resolved.hparams.update(vars(base.hparams))
    # read again for every run of a grid, it would win over the axes
    resolved.tuned = None
    return resolved


def require_source(config: DictConfig, source: Source, spec: RunSpec, but_for: Container[str] = ()) -> None:
    """Check that a run uses base hyperparameters for the proxy and the data that they were tuned on.

    Data that a person names is theirs to choose (they are told, see ``other_data``); data that nobody named is not.

    Raises:
        InputError: the proxy is another one, or the data is another and nobody chose it.
    """
    require_same_proxy(source, spec, but_for)
    if spec.data.sha256 != source.data_sha256 and not chosen_data(config):
        before = _data_words(source)
        raise InputError(
            "data",
            spec.data.name,
            "is not what the base hyperparameters were tuned on" + (f" ({before})" if before else ""),
            (f"give {before}" if before else "give that data") + f"; or data={spec.data.name}, if you mean it",
        )


def chosen_data(config: DictConfig) -> bool:
    """Whether a person, or the file of a sweep, said which data to use."""
    words = keys_of([*words_of_file(), *words_by_hand()])
    # the bare word data=NAME counts also where it names the default: saying so is choosing
    return bool(set_by_hand(config, "data")) or any(key.partition(".")[0] == "data" for key in words)


def other_data(source: Source, spec: RunSpec) -> list[str]:
    """What to say where the data is another one than that of the proxy, and chosen."""
    if spec.data.sha256 == source.data_sha256:
        return []
    before = _data_words(source) or f"sha256 {source.data_sha256:.8}"
    return [f"data={spec.data.name} has other content than what the proxy was tuned on ({before})"]


def _data_words(source: Source) -> str:
    path = f" data.path={source.data_path}" if source.data_path else ""
    return f"data={source.data_name}{path}" if source.data_name else ""


def untuned(recipe: Recipe) -> list[str]:
    """What to say of a recipe whose base hyperparameters nobody tuned."""
    if recipe.source is not None:
        return []
    return ["the recipe's base hyperparameters come from no study: nobody tuned them, or some were given by hand"]
