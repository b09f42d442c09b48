"""What a command says on standard error before a person trusts its numbers: a line a caution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from omegaconf import DictConfig

from smupar_transfer.app.base import Base, other_data, resolve_base, untuned
from smupar_transfer.app.console import terminal
from smupar_transfer.model import network_cautions, source_cautions
from smupar_transfer.records import RunSpec
from smupar_transfer.transfer import Recipe, Source

MOST_LINES = 6
"""Lines about where base hyperparameters come from; a sweep over budgets has one a budget."""


def tell_of_runs(config: DictConfig, specs: Sequence[RunSpec]) -> None:
    """Caution about configured runs, and say where base hyperparameters come from if a tuned point was named."""
    base = resolve_base(config)
    if base.tuned is not None:
        terminal(stderr=True).print(str(base), markup=False, soft_wrap=True)
    tell([*network_cautions(specs), *_about(None if base.tuned is None else Source.of(base.tuned), specs)])


def tell_of_recipe(recipe: Recipe, spec: RunSpec) -> None:
    """Caution about the run of a recipe."""
    tell([*network_cautions([spec]), *untuned(recipe), *_about(recipe.source, [spec])])


def tell_of_transfer(base: Base, spec: RunSpec) -> None:
    """Caution about a recipe that is being made."""
    source = None if base.tuned is None else Source.of(base.tuned)
    # no error: a recipe of the proxy is a way to train it longer
    itself = spec.model.width == spec.base_width and spec.sparsity.density == 1
    target = ["the target is the proxy itself; give target.width and target.sparsity"] if itself else []
    tell([*([] if base.source else [str(base)]), *target, *network_cautions([spec]), *_about(source, [spec])])


def _about(source: Source | None, specs: Iterable[RunSpec]) -> list[str]:
    if source is None:
        return []
    # runs of a sweep share most of them: each is said once
    said = [line for spec in specs for line in (*source_cautions(source, spec), *other_data(source, spec))]
    lines = list(dict.fromkeys(said))
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"and {more} more of this kind"] if more > 0 else lines


def tell(cautions: Iterable[str]) -> None:
    """Print cautions."""
    for caution in cautions:
        terminal(stderr=True).print(f"caution: {caution}", style="yellow", markup=False, soft_wrap=True)
