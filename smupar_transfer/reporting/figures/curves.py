"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.style import grid_of_panels, head, legend, ordered_looks, shared_legend, style


def draw_learning_curve(
    steps: Sequence[int], train_losses: Sequence[float | None], validation_losses: Sequence[float | None]
) -> Figure:
    """Training and validation loss over steps; a run's curve ends where it diverged."""
    with style():
        figure = Figure(figsize=(5.2, 3.4))
        axes = figure.subplots()
        for losses, label, look in (
            (train_losses, "training (mean since the point before)", {"color": "#e69f00", "linestyle": "--"}),
            (validation_losses, "validation", {"color": "#0072b2", "marker": "o"}),
        ):
            points = [(step, loss) for step, loss in zip(steps, losses, strict=True) if loss is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, **look)  # type: ignore[arg-type]
        axes.set(xlabel="optimizer step", ylabel="loss (nats / token)")
        if not axes.get_lines():
            axes.set(xticks=[], yticks=[])  # numbers of empty axes would mean nothing
            axes.text(0.5, 0.5, "no loss was finite", transform=axes.transAxes, ha="center", va="center")
        legend(axes)
    return figure


@dataclass(frozen=True)
class Training:
    """Mean validation loss over steps of one cell, as drawn."""

    label: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class TrainingPanel:
    """One family as drawn."""

    title: str
    curves: tuple[Training, ...]


def draw_learning_curves(panels: Sequence[TrainingPanel], legend_title: str) -> Figure:
    """Validation loss over steps: a panel per family, a curve per cell."""
    looks = ordered_looks(curve.label for panel in panels for curve in panel.curves)
    with style():
        figure, axes = grid_of_panels(len(panels), 3.2, 2.6, share=True, beside=1.1)
        handles: dict[str, Artist] = {}
        for each, panel in zip(axes, panels, strict=True):
            for curve in panel.curves:
                colour, marker = looks[curve.label]
                (line,) = each.plot(curve.steps, curve.losses, color=colour, marker=marker)
                handles.setdefault(curve.label, line)
            head(each, panel.title)
        figure.supxlabel("optimizer step", fontsize=10)
        figure.supylabel("validation loss (nats / token)", fontsize=10)
        shared_legend(figure, handles, legend_title)
    return figure
