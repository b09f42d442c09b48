"""A sweep against a configuration: axes that a person fixed, values as a configuration takes them, single points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from smupar_transfer.app import schema
from smupar_transfer.app.overrides import flat
from smupar_transfer.sweeps.axes import RANDOM, Grid, GridAxis, RandomPoints, keys_of
from smupar_transfer.sweeps.sweep import Sweep, key_of
from smupar_transfer.theory import InputError, did_you_mean

TARGET_WIDTH, TARGET_SPARSITY = "target.width", "target.sparsity"
OF_A_RUN = ("model", "target", "parametrization", "hparams", "optimizer", "sparsity", "budget", "seed", "precision")
"""Groups and keys in which the runs of one sweep may differ."""
NOT_OF_A_RUN = ("sparsity.backend",)
"""Keys below these in which they may not: how a run is computed is no part of it."""


def narrowed(sweep: Sweep, config: DictConfig, words: Iterable[str]) -> Sweep:
    """The sweep with a single value, that of ``config``, on every axis that a person fixed by hand.

    Words about the target leave cells of the dense proxy as they are: without it, no regret would be known.

    Args:
        sweep: The sweep as its file has it.
        config: The configuration, composed from the sweep's own settings and the words.
        words: The words that a person gave, such as ``parametrization=mup`` or ``seed=0``.

    Raises:
        InputError: the key that is searched over, or one of random points, is among them.
    """
    given = [key_of(word) for word in words]

    def is_fixed(key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in given)

    searched = {key for grid in sweep.grids for key in keys_of(grid) if key not in grid}
    searched |= {sweep.adaptive.key} if sweep.adaptive else set()
    swept = {f"hparams.{name}" for name in sweep.swept}
    searched |= {key for grid in sweep.grids for key, axis in grid.items() if key in swept and axis.size > 1}
    for key in sorted(filter(is_fixed, searched)):
        raise InputError(key, OmegaConf.select(config, key), f"is what {sweep.name} searches over", "leave it out")
    grids: list[Grid] = []
    for grid in sweep.grids:
        # the proxy stays what it is whatever target is looked at
        kept = (TARGET_WIDTH, TARGET_SPARSITY) if _is_proxy(grid) else ()
        fixed = [key for key in grid if key != RANDOM and key not in kept and is_fixed(key)]
        grids.append({**grid, **{key: GridAxis(values=[OmegaConf.select(config, key)]) for key in fixed}})
    return replace(sweep, grids=grids)


def _is_proxy(grid: Grid) -> bool:
    """Whether a grid has nothing but cells of the dense proxy: no width of the target, and no sparsity."""
    width, sparsity = grid.get(TARGET_WIDTH), grid.get(TARGET_SPARSITY)
    return width is not None and sparsity is not None and (width.expand(), sparsity.expand()) == ([None], [0])


def typed(sweep: Sweep, config: DictConfig) -> Sweep:
    """The sweep with all values of its axes as ``config`` takes them: whole powers of two are widths, too.

    Raises:
        InputError: a key does not exist, is a group, or is not one in which runs differ; or a value has a wrong type.
    """
    trial = config.copy()
    grids: list[Grid] = []
    for grid in sweep.grids:
        made: dict[str, GridAxis | RandomPoints] = {}
        for name, axis in grid.items():
            for key in keys_of({name: axis}):
                _refuse_key(key, sweep, config)
            if isinstance(axis, RandomPoints):
                for key in axis.space:
                    _taken(trial, key, 0.5)  # any number: whether the key takes one
                made[name] = axis
            else:
                made[name] = GridAxis(values=[_taken(trial, name, value) for value in axis.expand()])
        grids.append(made)
    return replace(sweep, grids=grids)


def _refuse_key(key: str, sweep: Sweep, config: DictConfig) -> None:
    where = f"is an axis of {sweep.name}, but"
    if key not in schema.known_keys() and OmegaConf.select(config, key) is None:
        hint = did_you_mean(key, schema.known_keys(), "smupar sweep --help lists the keys")
        raise InputError("grids", key, f"{where} no key of the configuration", hint)
    if OmegaConf.is_config(OmegaConf.select(config, key)):
        below = ", ".join(f"{key}.{name}" for name in OmegaConf.select(config, key))
        raise InputError("grids", key, f"{where} a group of keys", f"take one of {below}, or a file for each option")
    if key.partition(".")[0] not in OF_A_RUN or key in NOT_OF_A_RUN:
        raise InputError("grids", key, f"{where} the same in all of its runs", "put it into overrides")


def _taken(trial: DictConfig, key: str, value: Any) -> Any:
    """A value as a configuration takes it for a key; ``trial`` has it afterwards."""
    try:
        try:
            OmegaConf.update(trial, key, value)
        # axes of powers of two are floats, and a width of 64.0 is one
        except ValidationError:
            if not (isinstance(value, float) and value.is_integer()):
                raise
            OmegaConf.update(trial, key, int(value))
    except OmegaConfBaseException as error:
        raise InputError(key, value, f"is of a wrong type: {str(error).splitlines()[0]}") from error
    taken = OmegaConf.select(trial, key)
    # OmegaConf takes 1 for true and true for 1, each without a word
    if isinstance(taken, bool) != isinstance(value, bool):
        raise InputError(key, value, "is of a wrong type", "true and false stand for themselves alone")
    return taken


class Points:
    """The configurations of the runs of a sweep, one at a time: to copy one for every run takes most of planning.

    Args:
        config: What the runs share; it stays as it is.
        keys: The keys that points may set.
    """

    def __init__(self, config: DictConfig, keys: Iterable[str]) -> None:
        self._config = config.copy()
        plain = OmegaConf.to_container(config, resolve=False)  # what follows from another key shall go on doing so
        assert isinstance(plain, dict)
        usual = dict(flat(plain))
        self._usual = {key: usual[key] for key in keys if key in usual}
        self._set: set[str] = set()

    def at(self, point: Mapping[str, Any]) -> DictConfig:
        """The configuration of one run, to be read before the next one is asked for.

        Raises:
            omegaconf.errors.ConfigKeyError: a key does not exist.
        """
        # grids differ in their keys: what this point does not set goes back to what it was
        for key in self._set - point.keys():
            OmegaConf.update(self._config, key, self._usual[key], merge=True)
        for key, value in point.items():
            OmegaConf.update(self._config, key, value, merge=True)
        self._set = set(point)
        return self._config


def at_point(config: DictConfig, point: Mapping[str, Any]) -> DictConfig:
    """The configuration of one run of a sweep.

    Raises:
        omegaconf.errors.ConfigKeyError: a key of the sweep does not exist.
    """
    return Points(config, point).at(point)
