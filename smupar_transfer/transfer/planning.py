"""From a model, its base and a table of rules to a plan."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import (
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Parametrization,
    Power,
    RelativeHyperparameters,
    Role,
    ScaledHyperparameters,
    ScaleFactors,
    without_multiplier,
)
from smupar_transfer.theory import parametrization as table_of
from smupar_transfer.transfer.computed_weights import require_proportional
from smupar_transfer.transfer.contractions import trace
from smupar_transfer.transfer.densities import Density, MaskRequest, request_masks
from smupar_transfer.transfer.evidence import Evidence, Override
from smupar_transfer.transfer.initial_values import InitialValues, std_of, usual_laws
from smupar_transfer.transfer.module_multipliers import attention_factors, own_multipliers, tied_readouts
from smupar_transfer.transfer.plan_data import ModuleMultiplier, PlanRow, trained_with
from smupar_transfer.transfer.plans import Plan
from smupar_transfer.transfer.relative_hyperparameters import as_relative
from smupar_transfer.transfer.roles import Claim, claim_parameters
from smupar_transfer.transfer.rules import Rules
from smupar_transfer.transfer.thin import MINIMUM_WEIGHTS_PER_NEURON, is_thin
from smupar_transfer.transfer.width_constants import constant_cautions


def plan(
    model: nn.Module,
    base: nn.Module,
    *,
    delta: nn.Module | None = None,
    sample: object = None,
    density: Density = 1.0,
    masks: Mapping[str, Tensor] | None = None,
    roles: Mapping[str, Override] | None = None,
    parametrization: str | Parametrization = "smupar",
    optimizer: str | OptimizerSettings = "adamw",
    hparams: RelativeHyperparameters | Mapping[str, float] | str | Path | None = None,
    seed: int = 0,
) -> Plan:
    """Plan a model: what every parameter is initialised and trained with, relative to a small dense base.

    Nothing is touched; both may lie on the meta device. At the base's shape and density 1, nothing differs from what
    the model does by itself.

    Args:
        model: The model to train, of any modules, as it initialises itself.
        base: The same architecture, of the same depth, at the width at which base hyperparameters are tuned.
        delta: The same architecture at a third width: for dimensions in which model and base agree, and that
            are varied nevertheless.
        sample: A tiny batch, as ``base`` takes it (keywords as a mapping), or a function that runs a model: lets a
            forward pass decide on what module types and shapes leave open.
        density: The part of hidden weights that stays: a number; a structure (``"2:4"``, ``"block16:0.1"``,
            ``"fixed_fan_in:0.1"``); ``"erk:0.05"``, by layer; ``"found"``, as the model is pruned already; or one of
            these for each pattern of names, of which the first that matches counts.
        masks: Masks of your own by parameter name: boolean, True where a weight stays.
        roles: What you know better: pattern of names to role, or to (role, axis that is summed over); the first that
            matches counts.
        parametrization: The table of rules, or its name.
        optimizer: The update rule, or its settings.
        hparams: Base hyperparameters: learning_rate, init_scale, input_multiplier, output_multiplier, weight_decay; or
            a file of ``smupar tune``.
        seed: Of the masks that are drawn.

    Returns:
        The plan; ``plan.apply_(model)`` comes next.

    Raises:
        InputError: an argument cannot be used.
        OpenRolesError: the evidence does not decide on some parameters; all of them are listed.
    """
    if next(model.parameters(), None) is None:
        raise InputError("model", type(model).__name__, "has no parameters: there is nothing to plan")
    require_proportional(model, base)
    relative = as_relative(hparams)
    settings = optimizer if isinstance(optimizer, OptimizerSettings) else OptimizerSettings(name=optimizer)
    # without these nothing is scaled at the base's own shape, and an open role there does no harm
    matters = density != 1.0 or bool(masks) or (relative.input_multiplier, relative.output_multiplier) != (1.0, 1.0)
    uses = {} if sample is None else trace(base, sample)
    evidence = Evidence(model, base, delta, uses, roles or {}, matters)
    claims = claim_parameters(evidence)
    requests = request_masks(model, claims, density, masks or {})
    table = parametrization if isinstance(parametrization, Parametrization) else table_of(parametrization)
    planner = _Planner(evidence, requests, table, settings, relative, seed)
    # copies: a plan stays as it is when somebody writes into the mask
    return planner.plan(claims, {name: mask.clone() for name, mask in (masks or {}).items() if name in requests})


@dataclass(frozen=True)
class _Planner:
    """Everything that a plan is made of."""

    evidence: Evidence
    requests: Mapping[str, MaskRequest]
    table: Parametrization
    settings: OptimizerSettings
    hparams: RelativeHyperparameters
    seed: int

    def plan(self, claims: tuple[Claim, ...], own_masks: Mapping[str, Tensor]) -> Plan:
        """Plan parameters that were claimed."""
        rows: list[PlanRow] = []
        initial: dict[str, InitialValues] = {}
        hooks: list[ModuleMultiplier] = []
        # reversed, so that the first weight of a module is the one that stays: its bias follows that
        weights = {claim.name.rpartition(".")[0]: claim for claim in reversed(claims) if claim.layout is not None}
        for claim in claims:
            density = self._density(claim)
            factors = ScaleFactors(claim.width, density, aspect=claim.aspect)
            scaled = self._scaled(claim.role, factors, is_end=claim.is_end)
            own = own_multipliers(self.evidence, claim, scaled.forward_multiplier)
            # a constant that no hook can multiply with is worth another initialisation and another rate (decision 22)
            trained = scaled if own else without_multiplier(scaled, self.settings.rule)
            values = self._initial(claim, trained, weights.get(claim.name.rpartition(".")[0]))
            initial[claim.name] = values
            rows.append(self._row(claim, density, trained, values.std))
            hooks += [*own, *self._tied(claim)]
        return Plan(
            rows=tuple(rows),
            parametrization=self.table.name,
            optimizer=self.settings,
            hparams=self.hparams,
            multipliers=tuple(hooks),
            attention=attention_factors(self.evidence, self.table.attention_exponent),
            masks=self.requests,
            own_masks=own_masks,
            initial=initial,
            seed=self.seed,
            cautions=(*_cautions(rows, hooks), *self._of_constants()),
        )

    def _of_constants(self) -> Iterator[str]:
        rules = self.table.rules.values()
        # SP leaves a model as it is, with whatever follows the width in it
        if any(power != Power() for rule in rules for power in vars(rule).values()):
            yield from constant_cautions(self.evidence.network, self.evidence.base)

    def _density(self, claim: Claim) -> float:
        """The m_rho of a parameter, as its mask will be counted."""
        if claim.name in self.requests:
            return self.requests[claim.name].nonzero(claim.name, self.seed) / math.prod(claim.shape)
        layer = self.evidence.network.get_submodule(claim.name.rpartition(".")[0])
        return layer.density if isinstance(layer, SparseLinear) and claim.role is Role.HIDDEN else 1.0

    def _scaled(self, role: Role, factors: ScaleFactors, *, is_end: bool) -> ScaledHyperparameters:
        """What the rules make of base values of 1; base multipliers count at the ends of the network."""
        inputs, outputs = (self.hparams.input_multiplier, self.hparams.output_multiplier) if is_end else (1.0, 1.0)
        unit = BaseHyperparameters(1.0, 1.0, inputs, outputs, weight_decay=1.0)
        return Rules(self.table, unit, self.settings).scaled(role, factors)

    def _tied(self, claim: Claim) -> list[ModuleMultiplier]:
        """The hooks of readouts that share an embedding's weight."""
        multipliers = []
        for path, layout in tied_readouts(self.evidence, claim):
            # the readout sums over other axes of the weight than the embedding, and has a width of its own
            width = self.evidence.ratio(claim.name, layout.inputs)
            factor = self._scaled(Role.READOUT, ScaleFactors(width), is_end=True).forward_multiplier
            if factor != 1:
                multipliers.append(ModuleMultiplier(path, "input", factor))
        return multipliers

    def _initial(self, claim: Claim, scaled: ScaledHyperparameters, weight: Claim | None) -> InitialValues:
        """How values are rescaled; biases may follow the fan-in of the weight beside them."""
        base = self.evidence.base_parameter(claim.name)
        is_vector = claim.role is Role.VECTOR
        std, count = (None, 0) if base.is_meta else std_of(base)
        if std is not None and not math.isfinite(std):
            raise InputError("base", claim.name, "has values that are not finite", "initialise it first")
        shaped = weight if is_vector else claim
        same = self.evidence.base_shapes[claim.name] == claim.shape
        laws = [1.0]  # a fixed deviation, such as 0.02, follows no width
        # a bias of the base's shape may still follow the fan-in of the weight beside it
        if shaped is not None and not (same and not is_vector):
            laws += usual_laws(*(_fans(shaped, shapes[shaped.name]) for shapes in self._shapes))
        # no table scales initial values of vectors (UNREAD)
        factor = 1.0 if is_vector else scaled.init_std * self.hparams.init_scale
        # each law once: (1.0,) alone then says that nothing follows a shape
        return InitialValues(std, count, tuple(dict.fromkeys(laws)), factor, is_vector)

    @property
    def _shapes(self) -> tuple[Mapping[str, tuple[int, ...]], Mapping[str, tuple[int, ...]]]:
        return self.evidence.base_shapes, self.evidence.shapes

    def _row(self, claim: Claim, density: float, scaled: ScaledHyperparameters, std: float | None) -> PlanRow:
        return PlanRow(
            name=claim.name,
            shape=claim.shape,
            role=claim.role,
            fan_in=claim.fan_in,
            m_d=claim.width,
            m_rho=density,
            m_a=claim.aspect,
            init_std=std,
            forward_multiplier=scaled.forward_multiplier,
            why=claim.why,
            **trained_with(scaled, self.hparams),
        )


def _fans(claim: Claim, shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out), as initialisations count them: with the positions of a kernel."""
    assert claim.layout is not None
    kernel = math.prod(shape[axis] for axis in claim.layout.inputs[1:])
    return math.prod(shape[axis] for axis in claim.layout.inputs), shape[claim.layout.output] * kernel


def _cautions(rows: list[PlanRow], hooks: list[ModuleMultiplier]) -> Iterator[str]:
    thin = [row for row in rows if row.m_rho < 1 and is_thin(row.m_rho * row.fan_in)]
    if thin:
        fewest = min(row.m_rho * row.fan_in for row in thin)
        sparse = sum(row.m_rho < 1 for row in rows)
        yield (
            f"{len(thin)} of {sparse} sparse weights keep fewer than the {MINIMUM_WEIGHTS_PER_NEURON} weights an "
            f"output that transfer was tested with, as few as {fewest:.3g}: use a higher density or a wider model"
        )
    # a tied readout has no row of its own, only a hook on its input
    has_readout = any(row.role is Role.READOUT for row in rows) or any(hook.side == "input" for hook in hooks)
    if not has_readout and any(row.m_d != 1 for row in rows):
        yield "no output layer was found: what the model gives grows with its width"
