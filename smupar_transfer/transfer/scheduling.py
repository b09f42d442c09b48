"""Any schedule of PyTorch's, kept in proportion over the groups of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from smupar_transfer.transfer.grouping import FACTOR, require_planned

# OneCycleLR and CyclicLR move momentum, or Adam's first beta, against the rate
CYCLED = ("momentum", "betas")
"""What some schedules change beside the learning rate; the same for all groups."""


class ProportionalSchedule(LRScheduler):
    """A schedule of the base learning rate, from which every group's follows.

    Schedules with absolute bounds (``eta_min``, ``min_lr``, one ``max_lr`` for all groups) would end with the same rate
    in all groups. This one runs the schedule on the base rate alone, and multiplies.

    Args:
        optimizer: One whose groups a plan made.
        make: Makes the schedule from an optimizer; its numbers are those of the base rate.

    Raises:
        InputError: the optimizer's groups were not made by a plan.
    """

    def __init__(self, optimizer: Optimizer, make: Callable[[Optimizer], Any]) -> None:
        # without torch's own `__init__`, which would write rates into the groups at once
        self.optimizer = optimizer
        require_planned(optimizer)
        group = optimizer.param_groups[0]
        base = torch.nn.Parameter(torch.zeros(()))  # optimizers of torch refuse to have no parameter
        options = {name: group[name] for name in CYCLED if name in group}
        rate = float(group["lr"]) / group[FACTOR]
        self._base = _Base([base], {"lr": rate, **options})
        self.inner = make(self._base)
        self._base.step()  # schedules warn if they step before their optimizer, which they watch from now on
        self._write()

    def step(self, *args: Any, **kwargs: Any) -> None:
        """As the schedule's own ``step``, with the arguments that it takes."""
        self.inner.step(*args, **kwargs)
        self._write()

    def _write(self) -> None:
        base = self._base.param_groups[0]
        for group in self.optimizer.param_groups:
            rate = float(base["lr"]) * group[FACTOR]
            if isinstance(group["lr"], Tensor):  # a compiled optimizer looks at this very tensor
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
            group.update({name: base[name] for name in CYCLED if name in group})
        # what `get_last_lr` of torch's class gives
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule, and the base rate it has come to."""
        return {"inner": self.inner.state_dict(), "base": dict(self._base.param_groups[0], params=[])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` said."""
        self.inner.load_state_dict(state_dict["inner"])
        self._base.param_groups[0].update({k: v for k, v in state_dict["base"].items() if k != "params"})
        self._write()


class _Base(Optimizer):
    """An optimizer of nothing, which has a learning rate for schedules to change."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing."""
        del closure
