"""Parametrizations as tables of exponents: initialisation, forward pass and optimizer read the same row.

SP, muP and SuPar follow SuPar (arXiv 2405.15743), Table 1; the roles the paper leaves out (untied readout, and
everything but hidden weights under SGD) follow muP (arXiv 2203.03466), Table 8 in the form of the ``mup`` package;
epsilon follows CompleteP (arXiv 2505.01618), Table 1: it shrinks as the gradients do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from smupar_transfer.theory.errors import InputError
from smupar_transfer.theory.powers import ONE, Power
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.suggestions import OWN_NAME_HINT


@dataclass(frozen=True)
class Rule:
    """How each quantity of a parameter scales away from its value at the proxy.

    Attributes:
        init_variance: How the variance of initial values scales, sigma**2 at the proxy.
        adam_learning_rate: How the learning rate scales under Adam, eta at the proxy.
        sgd_learning_rate: How the learning rate scales under SGD, eta at the proxy.
        adam_epsilon: How Adam's epsilon scales.
        forward_multiplier: How the constant scales that the parameter's output is multiplied with.
        gradient_norm: How the Euclidean norm of the parameter's gradient scales; a scaled clip divides by it.
    """

    init_variance: Power = ONE
    adam_learning_rate: Power = ONE
    sgd_learning_rate: Power = ONE
    adam_epsilon: Power = ONE
    forward_multiplier: Power = ONE
    gradient_norm: Power = ONE


UNREAD = (
    (Role.HIDDEN, "forward_multiplier"),
    (Role.VECTOR, "forward_multiplier"),
    (Role.VECTOR, "init_variance"),
)
"""Cells that nothing reads: multipliers stand behind the embedding and before the readout, vectors start constant."""


@dataclass(frozen=True)
class Parametrization:
    """A named table with one rule per role.

    Attributes:
        name: How configurations and records call it.
        title: How figures and tables call it.
        rules: A rule for every role.
        attention_exponent: Attention logits are multiplied with head_dim**attention_exponent.
    """

    name: str
    title: str
    rules: Mapping[Role, Rule]
    attention_exponent: float

    def __post_init__(self) -> None:
        missing = set(Role) - set(self.rules)
        if missing:
            raise ValueError(f"parametrization {self.name} has no rule for {sorted(missing)}")
        for role, quantity in UNREAD:
            if role in self.rules and getattr(self.rules[role], quantity) != ONE:
                raise ValueError(f"parametrization {self.name}: {role} parameters have no {quantity} to be scaled")
        # a copy that nobody can write: records know a table by its name alone
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))

    def __reduce__(self) -> tuple[type[Parametrization], tuple[str, str, dict[Role, Rule], float]]:
        """Copy and pickle by content: a read-only view cannot be pickled itself."""
        return type(self), (self.name, self.title, dict(self.rules), self.attention_exponent)

    def __getitem__(self, role: Role) -> Rule:
        return self.rules[role]

    @property
    def has_gradient_norms(self) -> bool:
        """Whether the table says how norms of gradients scale."""
        return any(rule.gradient_norm != ONE for rule in self.rules.values())

    def with_rule(self, name: str, title: str, role: Role, **changes: Power) -> Parametrization:
        """A variation that differs in one row."""
        rules = {**self.rules, role: replace(self.rules[role], **changes)}
        return Parametrization(name, title, rules, self.attention_exponent)


PER_WIDTH = Power(width=-1)  # 1 / m_d
# a gradient's entries shrink with the outputs of a layer, and as many of them add up as it has inputs: SGD's rate
# follows outputs over inputs (as `mup` has it; arXiv 2310.17813, "A Spectral Condition", section 4)
OUTPUTS_OVER_INPUTS = Power(aspect=1)
PER_FAN_IN = Power(width=-1, density=-1)  # 1 / (m_d m_rho): one over the non-zero fan-in

# A gradient's entry is the product of what comes back to an output and what went into it, over a batch. What comes back
# is of size 1 / m_d, for the readout's multiplier; what went in is of size 1 (muP, appendix J). So the norm over the
# entries of a vector, or of a matrix one of whose sides grows, is sqrt(m_d) / m_d; that of a hidden matrix stays, but
# for the part of its entries that exists (m_rho), and for sides that grow unequally.
PER_ROOT_WIDTH = Power(width=-0.5)
INPUTS_OVER_OUTPUTS = Power(aspect=-0.5)
SPARSE_NORM = Power(aspect=-0.5, density=0.5)

# products of queries and keys are divided by sqrt(d_head) (SuPar, Table 1)
SP = Parametrization("sp", "SP", {role: Rule() for role in Role}, attention_exponent=-0.5)

MUP = Parametrization(
    "mup",
    "μP",
    {
        # under SGD whatever is not hidden learns faster with width (muP, Table 8; decision 3)
        # gradients of all weights shrink as 1 / m_d, so that epsilon does, too (CompleteP, Table 1; decision 3)
        Role.EMBEDDING: Rule(sgd_learning_rate=Power(width=1), adam_epsilon=PER_WIDTH, gradient_norm=PER_ROOT_WIDTH),
        Role.HIDDEN: Rule(
            init_variance=PER_WIDTH,
            adam_learning_rate=PER_WIDTH,
            sgd_learning_rate=OUTPUTS_OVER_INPUTS,
            adam_epsilon=PER_WIDTH,
            gradient_norm=INPUTS_OVER_OUTPUTS,
        ),
        # a multiplier of 1 / m_d, in place of smaller values: the form of the `mup` package (decision 3)
        Role.READOUT: Rule(
            sgd_learning_rate=Power(width=1),
            adam_epsilon=PER_WIDTH,
            forward_multiplier=PER_WIDTH,
            gradient_norm=PER_ROOT_WIDTH,
        ),
        Role.VECTOR: Rule(sgd_learning_rate=Power(width=1), adam_epsilon=PER_WIDTH, gradient_norm=PER_ROOT_WIDTH),
    },
    attention_exponent=-1.0,  # 1 / d_head (SuPar, Table 1)
)

# ablations correct density in one quantity alone, on top of muP's rules for width (decision 3)
# norms of gradients are no correction: whatever is trained, of a sparse gradient a part exists
INIT_ONLY = MUP.with_rule(
    "init_only", "SμPar, init only", Role.HIDDEN, init_variance=PER_FAN_IN, gradient_norm=SPARSE_NORM
)

LR_ONLY = MUP.with_rule(
    "lr_only",
    "SμPar, LR only",
    Role.HIDDEN,
    gradient_norm=SPARSE_NORM,
    adam_learning_rate=PER_FAN_IN,
    sgd_learning_rate=OUTPUTS_OVER_INPUTS * Power(density=-1),  # SuPar, appendix D.3.1
)

SMUPAR = INIT_ONLY.with_rule(
    "smupar",
    "SμPar",
    Role.HIDDEN,
    adam_learning_rate=LR_ONLY[Role.HIDDEN].adam_learning_rate,
    sgd_learning_rate=LR_ONLY[Role.HIDDEN].sgd_learning_rate,
)

# A control: SP whose embedding learns faster by the width factor, as it does relative to hidden weights under muP. It
# isolates the part of muP's benefit that Kalra & Barkeshli (arXiv 2605.21486) trace to the embedding's learning rate.
SP_EMBEDDING = SP.with_rule(
    "sp_embedding",
    "SP, own embedding LR",
    Role.EMBEDDING,
    adam_learning_rate=Power(width=1),
    sgd_learning_rate=Power(width=1),
)

_TABLES = {table.name: table for table in (SP, SP_EMBEDDING, MUP, INIT_ONLY, LR_ONLY, SMUPAR)}
PARAMETRIZATIONS: Mapping[str, Parametrization] = MappingProxyType(_TABLES)
"""Every table by name, those that were registered among them."""


def register_parametrization(table: Parametrization) -> Parametrization:
    """Make a table of one's own usable by name: ``parametrization=NAME``, in specifications, sweeps and recipes.

    Returns:
        The table, so that a module can define and register it in one expression.

    Raises:
        ValueError: there is another table of that name, or the name is none that a command line takes.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", table.name):
        raise ValueError(f"{table.name!r} is no name for a parametrization: use letters, digits and underscores")
    if _TABLES.setdefault(table.name, table) != table:
        raise ValueError(f"there is another parametrization {table.name!r} already")
    return table


def parametrization(name: str) -> Parametrization:
    """The table of that name.

    Raises:
        InputError: no table has that name.
    """
    if name not in PARAMETRIZATIONS:
        raise InputError("parametrization", name, f"is not one of {', '.join(PARAMETRIZATIONS)}", OWN_NAME_HINT)
    return PARAMETRIZATIONS[name]
