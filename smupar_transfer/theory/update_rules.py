"""Update rules as data: how the learning rate of one scales, what it reads, and how large its updates are.

What computes the updates is registered beside them, in ``training.optimizer``: here nothing knows of tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from smupar_transfer.theory.choices import with_choices
from smupar_transfer.theory.errors import InputError
from smupar_transfer.theory.parametrizations import Rule
from smupar_transfer.theory.powers import Power
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.suggestions import OWN_NAME_HINT

SOMETIMES_READ = ("beta1", "beta2", "epsilon", "momentum")
"""Settings of ``OptimizerSettings`` that a rule may read or not; the others count under every rule."""


class UpdateSize(StrEnum):
    """What the size of an update's entries depends on: what coordinate checks expect of it."""

    FIXED = "fixed"
    """On the learning rate alone, however large gradients are, as Adam's and those of sign methods."""
    PROPORTIONAL = "proportional"
    """On the learning rate and on the gradient, to which updates are proportional, as SGD's are."""
    OTHER = "other"
    """On something else: theory predicts no size of updates."""


@dataclass(frozen=True)
class UpdateRule:
    """An update rule, but for its computation.

    Attributes:
        name: How configurations and records call it.
        title: How sentences call it.
        learning_rate: From a row of a parametrization, and the role that the row is for, to how the learning rate of
            such parameters scales. ``like_adam`` and ``like_sgd`` take what the tables say of these.
        reads: The names of those settings in ``SOMETIMES_READ`` that the rule reads.
        size: What the size of its updates depends on.
    """

    name: str
    title: str
    learning_rate: Callable[[Rule, Role], Power]
    reads: Collection[str] = frozenset()
    size: UpdateSize = UpdateSize.OTHER

    def __post_init__(self) -> None:
        with_choices(self, "", size=UpdateSize)
        # a text would pass as a collection of names of one letter
        if isinstance(self.reads, str):
            raise ValueError(f"update rule {self.name}: reads is a text, not a collection of names")
        object.__setattr__(self, "reads", frozenset(self.reads))
        for unknown in sorted(set(self.reads) - set(SOMETIMES_READ)):
            known = ", ".join(SOMETIMES_READ)
            raise ValueError(f"update rule {self.name}: there is no setting {unknown} that it could read; use {known}")

    @property
    def unread(self) -> frozenset[str]:
        """Settings that have no effect under this rule."""
        return frozenset(SOMETIMES_READ).difference(self.reads)


def like_adam(rule: Rule, role: Role) -> Power:
    """How Adam's learning rate scales: it suits rules whose updates have a size of their own (``UpdateSize.FIXED``)."""
    del role
    return rule.adam_learning_rate


def like_sgd(rule: Rule, role: Role) -> Power:
    """How SGD's learning rate scales: it suits rules whose updates are as large as gradients are."""
    del role
    return rule.sgd_learning_rate


ADAMW = UpdateRule("adamw", "AdamW", like_adam, frozenset({"beta1", "beta2", "epsilon"}), UpdateSize.FIXED)
SGD = UpdateRule("sgd", "SGD", like_sgd, frozenset({"momentum"}), UpdateSize.PROPORTIONAL)

_RULES = {rule.name: rule for rule in (ADAMW, SGD)}
UPDATE_RULES: Mapping[str, UpdateRule] = MappingProxyType(_RULES)
"""Every update rule by name, those that were registered among them."""


def register_update_rule(rule: UpdateRule) -> UpdateRule:
    """Make an update rule usable in specifications; ``training.register_optimizer`` says what computes it as well.

    Returns:
        The rule.

    Raises:
        ValueError: there is another rule of that name, the name is none that a command line takes, or the learning rate
            of some role scales as something that is no ``Power``.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", rule.name):
        raise ValueError(f"{rule.name!r} is no name for an update rule: use letters, digits and underscores")
    for role in Role:
        # an empty row will do: only the kind of the answer is looked at
        power = rule.learning_rate(Rule(), role)
        if not isinstance(power, Power):
            raise ValueError(f"update rule {rule.name}: its learning rate scales as {power!r}, which is no Power")
    if _RULES.setdefault(rule.name, rule) != rule:
        raise ValueError(f"there is another update rule {rule.name!r} already")
    return rule


def update_rule(name: str) -> UpdateRule:
    """The update rule of that name.

    Raises:
        InputError: no rule has that name.
    """
    if not isinstance(name, str) or name not in _RULES:
        raise InputError("optimizer.name", name, f"is not one of {', '.join(_RULES)}", OWN_NAME_HINT)
    return _RULES[name]
