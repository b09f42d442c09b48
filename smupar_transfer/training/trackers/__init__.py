"""Experiment trackers: who keeps curves of runs for people to look at, beside the records, which stay the truth."""

from smupar_transfer.training.trackers.base import RunState, TrackedRun, Tracker, TrackerFactory
from smupar_transfer.training.trackers.following import Tracking, follow
from smupar_transfer.training.trackers.registry import register_tracker, tracker_names

__all__ = [
    "RunState",
    "TrackedRun",
    "Tracker",
    "TrackerFactory",
    "Tracking",
    "follow",
    "register_tracker",
    "tracker_names",
]
