"""Trackers by name."""

from __future__ import annotations

from smupar_transfer.launchers import origin_of
from smupar_transfer.theory import OWN_NAME_HINT, InputError, did_you_mean
from smupar_transfer.training.trackers import mlflow, tensorboard, trackio, wandb
from smupar_transfer.training.trackers.base import TrackerFactory, tool

NONE = "none"
"""The name of no tracker."""

_FACTORIES: dict[str, TrackerFactory] = {
    tensorboard.NAME: tensorboard.TensorBoardTracker,
    wandb.NAME: wandb.WandbTracker,
    trackio.NAME: trackio.TrackioTracker,
    mlflow.NAME: mlflow.MLflowTracker,
}
_MODULES = {part.NAME: part.MODULE for part in (tensorboard, wandb, trackio, mlflow)}
"""What trackers of the package need to be installed."""


def tracker_names() -> list[str]:
    """All names that ``tracker=`` takes."""
    return [NONE, *_FACTORIES]


def register_tracker(name: str, factory: TrackerFactory) -> None:
    """Make a tracker of one's own usable by name, as ``tracker=NAME``.

    Args:
        name: which it is chosen by.
        factory: makes a tracker for a run; a class that takes a ``TrackedRun`` is one.

    Raises:
        ValueError: there is another one of that name.
    """
    known = None if name == NONE else _FACTORIES.setdefault(name, factory)
    if known is None or origin_of(known) != origin_of(factory):
        raise ValueError(f"there is another tracker {name!r} already")


def tracker_factory(name: str) -> TrackerFactory:
    """The factory of that name.

    Raises:
        InputError: none has that name.
    """
    if name not in _FACTORIES:
        otherwise = f"there are {', '.join(tracker_names())}; {OWN_NAME_HINT}"
        raise InputError("tracker", name, "is no tracker", did_you_mean(name, tracker_names(), otherwise))
    return _FACTORIES[name]


def require_tracker(name: str) -> None:
    """Check, before anything is trained, that a tracker can be used here.

    Raises:
        InputError: there is none of that name, or what it needs is not installed.
    """
    if name == NONE:
        return
    tracker_factory(name)
    if name in _MODULES:
        tool(_MODULES[name], name)
