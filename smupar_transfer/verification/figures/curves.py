"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from smupar_transfer.verification.figures.style import legend, style


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
        legend(axes)
    return figure
