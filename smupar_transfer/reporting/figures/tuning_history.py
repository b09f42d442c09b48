"""Figures of a search: how the best loss fell, and loss against each hyperparameter."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from smupar_transfer.reporting.figures.style import labelled, legend, style

AXIS_LABELS = {
    "learning_rate": "learning rate η",
    "init_std": "init std σ",
    "input_multiplier": "input multiplier $α_{in}$",
    "output_multiplier": "output multiplier $α_{out}$",
    "weight_decay": "weight decay λ",
    "init_scale": "scale of initial values",
}
CEILING = 1.1
"""Times the best loss, up to which losses are shown; of what lies above, a wedge at the top tells that it is there."""
BOTTOM_MARGIN = 0.1
"""Part of the loss axis below the best loss, where it is cut at the top."""
COMPLETE, PRUNED, DIVERGED, BEST = "#0072b2", "#888888", "#cc79a7", "#d55e00"

SHADES = "viridis_r"
"""Of completed trials, by number, where a figure has no axis for it."""
MIDDLE_SHADE = "#21918c"
"""Of these the middle one, for legends."""


class Trial(Protocol):
    """One trial of a search, as figures and pages see it; ``tuning.TrialOutcome`` is one."""

    @property
    def number(self) -> int:
        """The number of the trial in the study."""

    @property
    def value(self) -> float | None:
        """Validation loss in nats after the whole budget; None if it was pruned or diverged."""

    @property
    def outcome(self) -> str:
        """How it ended: "complete", "pruned" or "diverged"."""

    @property
    def hparams(self) -> Mapping[str, float]:
        """The point, searched hyperparameters only."""

    @property
    def last(self) -> tuple[int, float] | None:
        """Step and loss of its last validation, also where it was pruned; None if there was none."""

    @property
    def seconds(self) -> float | None:
        """From its start to its end; None if that is not known."""


def best_so_far(values: Sequence[float | None]) -> list[float]:
    """Running minimum; infinite until the first value."""
    return list(itertools.accumulate((float("inf") if value is None else value for value in values), min))


def completed(trials: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """Trials that ran to their end, with their losses."""
    return [(trial, trial.value) for trial in trials if trial.value is not None]


def given_up(trials: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """Pruned trials with the last loss that is known of them."""
    return [(trial, trial.last[1]) for trial in trials if trial.outcome == "pruned" and trial.last is not None]


def beyond(points: Sequence[float], losses: Sequence[float], best: float) -> tuple[float, list[float]]:
    """Top of the loss axis, and the points whose losses lie above it."""
    # trials that were nearly lost would set the scale, and press all good ones onto one line
    top = CEILING * best
    return top, [point for point, loss in zip(points, losses, strict=True) if loss > top]


def _cut(axes: Axes, points: Sequence[float], losses: Sequence[float], best: float, colour: str | None) -> None:
    """Cut the loss axis where few trials lie beyond, with a wedge of a colour, if there is one, for each of them."""
    top, above = beyond(points, losses, best)
    if above:
        axes.set_ylim(best - BOTTOM_MARGIN * (top - best), top)
    if above and colour is not None:
        axes.plot(above, [0.97] * len(above), "^", color=colour, transform=axes.get_xaxis_transform())


def draw_history(trials: Sequence[Trial], *, on_target: bool = False) -> Figure:
    """Loss of every completed trial and the best so far; those pruned or diverged are marks at the bottom.

    Args:
        trials: The trials of the search.
        on_target: Whether they trained the target itself, and not its proxy.
    """
    complete = completed(trials)
    with style():
        figure = Figure(figsize=(6.0, 3.4))
        axes = figure.subplots()
        at, losses = [trial.number for trial, _ in complete], [loss for _, loss in complete]
        if complete:
            axes.plot(at, losses, "o", color=COMPLETE, label=f"complete ({len(complete)})")
        for outcome, colour, marker in (("pruned", PRUNED, "|"), ("diverged", DIVERGED, "x")):
            lost = [trial.number for trial in trials if trial.outcome == outcome]
            if lost:
                bottom, label = [0.02] * len(lost), f"{outcome} ({len(lost)})"
                axes.plot(lost, bottom, marker, color=colour, label=label, transform=axes.get_xaxis_transform())
        numbers = [trial.number for trial in trials]
        best = best_so_far([trial.value for trial in trials])
        # a best holds from its own trial on
        axes.step(numbers, best, where="post", color=BEST, label="best so far")
        _cut(axes, at, losses, best[-1], COMPLETE)
        searched = "target itself" if on_target else "dense proxy"
        axes.set(xlabel="trial", ylabel="validation loss (nats)", title=f"Search on the {searched}")
        legend(axes)
    return figure


def draw_slices(trials: Sequence[Trial], logarithmic: Mapping[str, bool], best: Trial | None = None) -> Figure:
    """A panel per hyperparameter: loss against it, the best trial marked; pruned trials are grey, at their last loss.

    Args:
        trials: The trials of the search, at least one of them complete.
        logarithmic: The searched hyperparameters, and whether each was searched on a logarithmic axis.
        best: The one that is marked, a complete one; that with the lowest loss, if left out.
    """
    complete, pruned = completed(trials), given_up(trials)
    with style():
        figure = Figure(figsize=(2.6 * len(logarithmic) + 0.6, 3.2))
        panels = figure.subplots(1, len(logarithmic), sharey=True, squeeze=False)[0].tolist()
        for axes, (name, is_logarithmic) in zip(panels, logarithmic.items(), strict=True):
            shades = _draw_slice(axes, trials, name, best)
            _scale(axes, name, is_logarithmic)
            axes.set_xlabel(AXIS_LABELS.get(name, name))
        panels[0].set_ylabel("validation loss (nats)")
        figure.colorbar(shades, ax=panels, label="trial", ticks=MaxNLocator(6, integer=True))
        # panels share the axis: the wedge is explained once, if any of them has one
        lowest = min(loss for _, loss in complete)
        is_cut = any(loss > CEILING * lowest for _, loss in [*complete, *pruned])
        shown = _explained(panels[0], trials, is_cut)
        figure.legend(list(shown.values()), list(shown), loc="outside upper left", ncols=len(panels))
    return figure


def _draw_slice(axes: Axes, trials: Sequence[Trial], name: str, best: Trial | None) -> PathCollection:
    """One panel; returns the completed trials, which are shaded by their number."""
    complete, pruned = completed(trials), given_up(trials)
    first, lowest = min(complete, key=lambda pair: pair[1])
    starred = first if best is None else best
    at_end, lost_at = ([trial.hparams[name] for trial, _ in some] for some in (complete, pruned))
    losses, last_losses = ([loss for _, loss in some] for some in (complete, pruned))
    axes.plot(lost_at, last_losses, ".", color=PRUNED, markersize=4)
    numbers = [trial.number for trial, _ in complete]
    shades = axes.scatter(at_end, losses, c=numbers, cmap=SHADES, s=18, edgecolors="none", zorder=3)
    star = {"color": BEST, "markersize": 13, "markeredgecolor": "black", "label": "best", "zorder": 4}
    axes.plot(starred.hparams[name], starred.value or lowest, "*", **star)  # type: ignore[arg-type]
    diverged = [trial.hparams[name] for trial in trials if trial.outcome == "diverged"]
    axes.plot(diverged, [0.97] * len(diverged), "x", color=DIVERGED, transform=axes.get_xaxis_transform())
    _cut(axes, lost_at, last_losses, lowest, PRUNED)
    _cut(axes, at_end, losses, lowest, None)
    top, above = beyond(at_end, losses, lowest)
    late = [trial.number for trial, loss in complete if loss > top]
    # in the shade that its point would have
    for shade, point in zip(shades.to_rgba(np.array(late, dtype=float)), above, strict=True):
        axes.plot(point, 0.97, "^", color=shade, transform=axes.get_xaxis_transform())
    return shades


def _scale(axes: Axes, name: str, is_logarithmic: bool) -> None:
    if not is_logarithmic:
        return
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_formatter(NullFormatter())
    if name != "learning_rate":
        axes.xaxis.set_major_locator(LogLocator(base=2, numticks=3))  # long numbers: few of them
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _explained(axes: Axes, trials: Sequence[Trial], is_cut: bool) -> dict[str, Artist]:
    """Entries of the legend, with how many trials of each outcome there are."""
    counts = Counter(trial.outcome for trial in trials)
    # marks of the legend's own: in the panels completed trials have a shade each
    shown = {f"complete ({counts['complete']})": _mark("o", MIDDLE_SHADE), "best": labelled(axes)["best"]}
    if counts["pruned"]:
        shown[f"pruned ({counts['pruned']}), at its last loss"] = _mark(".", PRUNED)
    if counts["diverged"]:
        shown[f"diverged ({counts['diverged']})"] = _mark("x", DIVERGED)
    if is_cut:
        shown["above the axis"] = _mark("^", "#333333")
    return shown


def _mark(marker: str, colour: str) -> Artist:
    return Line2D([], [], color=colour, marker=marker, linestyle="")
