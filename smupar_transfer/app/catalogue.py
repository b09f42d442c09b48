"""The commands that there are. Imports nothing: the entry point, help and completion all need it at once."""

from __future__ import annotations

COMMANDS = {
    "demo": "the whole story in a few minutes: tune, transfer, train, compare",
    "tune": "search base hyperparameters on the dense proxy",
    "transfer": "rescale them to a wide sparse target: a recipe",
    "train": "train a recipe, or the configured target",
    "sweep": "run a stability sweep, then analyse and draw it",
    "coordinates": "check that activations, gradients and updates keep their size",
    "plot": "redraw a sweep from its stored records",
    "status": "how far a sweep, a check or a study is, and who is at work on it",
    "explain": "every parameter of a target with its learning rate, init std, ...",
    "export": "a recipe as the configuration of another training stack",
    "calibrate": "what each backend takes for layers on this machine",
    "plan": "what a sweep or a run would cost, without running it",
}

TAKES_NAME = ("sweep", "coordinates", "plot", "status", "plan")
DEFAULT_NAMES = {"coordinates": "coordinates_by_sparsity"}
