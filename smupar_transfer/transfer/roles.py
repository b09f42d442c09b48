"""The role of every parameter of a network, and by which evidence: kept beside the network, keyed by name.

A side table, because attributes on ``nn.Parameter`` are lost by ``deepcopy``, by moves between devices and by sharding.
What a module's type says comes first, what grows from the base to the network second, what a forward pass does third;
what a person says wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from smupar_transfer.theory import InputError, Role, choose
from smupar_transfer.transfer.evidence import Evidence, product
from smupar_transfer.transfer.layouts import Layout, layouts_of
from smupar_transfer.transfer.open_roles import OpenParameter, OpenRolesError


@dataclass(frozen=True)
class Claim:
    """What one parameter is.

    Attributes:
        name: The name, as in ``named_parameters``.
        shape: The shape of the dense tensor, whatever the backend of a sparse layer keeps of it.
        role: The row of the parametrization that applies.
        fan_in: The number of inputs that an output sums over, zeros included; 1 for vectors.
        width: The m_d of this very tensor: the dimension that its role scales with, over that of the base.
        aspect: For hidden weights, the growth of outputs over that of inputs; 1 for others, of which one side grows.
        layout: Which axes are inputs and outputs; None for vectors and for what no product contracts.
        is_end: Whether it stands at an end of the network, where base multipliers apply: what is inside of repeated
            blocks does not.
        why: The evidence, in words.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    width: float
    aspect: float
    layout: Layout | None
    is_end: bool
    why: str


def claim_parameters(evidence: Evidence) -> tuple[Claim, ...]:
    """Claim every parameter of a network exactly once, in the network's order.

    Raises:
        InputError: base or delta has other parameters, or an entry of ``roles`` names no parameter or no role.
        OpenRolesError: the evidence does not decide on some parameters; all of them are listed.
    """
    claims: list[Claim] = []
    still_open: list[OpenParameter] = []
    for name, shape in evidence.shapes.items():
        claim = _overridden(evidence, name) or _from_evidence(evidence, name)
        if claim is None:
            still_open.append(OpenParameter(name, shape, evidence.base_shapes[name]))
        else:
            claims.append(claim)
    _require_matches(evidence)  # before open roles: a pattern with a typing error leaves its own parameters open
    if still_open:
        raise OpenRolesError(still_open, anything_grows=evidence.anything_grows)
    return tuple(claims)


def _overridden(evidence: Evidence, name: str) -> Claim | None:
    match = evidence.override(name)
    if match is None:
        return None
    pattern, said = match
    word, axis = _said(pattern, said)
    role = choose(Role, f"roles[{pattern}]", word)
    shape, why = evidence.shapes[name], f"given: roles[{pattern!r}]"
    layout = None if role is Role.VECTOR else evidence.layouts.get(name) or _convention(shape)
    if axis is not None and not -len(shape) <= axis < len(shape):
        raise InputError(f"roles[{pattern}]", axis, f"is no axis of {name}, of shape {shape}")
    if axis is not None and layout is not None:
        # the range turns an axis that is counted from the end into one from the front
        layout = _contracting(shape, (range(len(shape))[axis],), evidence.growing[name])
    if layout is None and role is not Role.VECTOR:
        raise InputError(f"roles[{pattern}]", str(role), f"{name} of shape {shape} is no matrix", "say 'vector'")
    # a router reads out inside of a block: base multipliers are for the ends of the network
    inner = role is Role.READOUT and layout is not None and _is_router(evidence, name, layout)
    return _claim(evidence, name, role, layout, why, is_end=not inner)


def _said(pattern: str, said: object) -> tuple[object, int | None]:
    """A role's word, and the axis that is summed over, where somebody says it."""
    if not isinstance(said, tuple):
        return said, None
    match said:
        case (word, int(axis)) if not isinstance(axis, bool):  # True is an int to Python
            return word, axis
    raise InputError(f"roles[{pattern}]", said, "is no role and no (role, axis)", 'as in ("hidden", 1)')


def _convention(shape: tuple[int, ...]) -> Layout | None:
    """As torch has it: (..., fan_out, fan_in)."""
    return Layout((len(shape) - 1,), len(shape) - 2) if len(shape) >= 2 else None


def _contracting(shape: tuple[int, ...], axes: tuple[int, ...], growing: frozenset[int]) -> Layout:
    """A weight of which some axes are summed over; outputs lie along the last other one, or the last that grows."""
    others = [other for other in range(len(shape)) if other not in axes]
    grown = [other for other in others if other in growing]
    return Layout(axes, (grown or others)[-1])


def _from_evidence(evidence: Evidence, name: str) -> Claim | None:
    shape, layout = evidence.shapes[name], evidence.layouts.get(name)
    # a matrix with one dimension that is not 1 is a vector in another shape
    if layout is None and (len(shape) < 2 or sum(size > 1 for size in shape) < 2):
        return _claim(evidence, name, Role.VECTOR, None, "a single dimension")
    if layout is not None and layout.role is not None:
        return _claim(evidence, name, layout.role, layout, "the type of its module")
    if layout is not None:
        return _by_growth(evidence, name, layout, "")
    use = evidence.use(name)
    # with no axis left for outputs it is no weight
    if use.axes is not None and len(use.axes) < len(shape):
        layout = _contracting(shape, use.axes, evidence.growing[name])
        over = f"{'axis' if len(use.axes) == 1 else 'axes'} {' and '.join(map(str, use.axes))}"
        return _by_growth(evidence, name, layout, f"a forward pass sums over {over}; ")
    if use.looked_up:
        return _claim(evidence, name, Role.EMBEDDING, Layout((0,), 1), "a forward pass looks up its rows")
    # what is not understood decides nothing: a wrong role would train without a word (decision 22)
    if use.combined and not use.contracted and not use.unknown:
        return _uncontracted(evidence, name, "a forward pass sums over none of its axes")
    if shape[0] == 1 and evidence.anything_grows:
        return _uncontracted(evidence, name, "its first dimension of 1 stands for the batch")
    return None


def _uncontracted(evidence: Evidence, name: str, why: str) -> Claim:
    """Positions, tokens and biases of experts: they learn as vectors do, whatever their number of dimensions."""
    return _claim(evidence, name, Role.VECTOR, None, why)


def _by_growth(evidence: Evidence, name: str, layout: Layout, prefix: str) -> Claim | None:
    growing = evidence.growing[name]
    inputs, outputs = not growing.isdisjoint(layout.inputs), layout.output in growing
    match inputs, outputs:
        case True, True:
            return _claim(evidence, name, Role.HIDDEN, layout, f"{prefix}inputs and outputs grow")
        case False, True:
            return _claim(evidence, name, Role.EMBEDDING, layout, f"{prefix}only outputs grow")
        case True, False:
            if _is_router(evidence, name, layout):
                why = f"{prefix}only inputs grow, outputs are the experts beside it"
                return _claim(evidence, name, Role.READOUT, layout, why, is_end=False)
            return _claim(evidence, name, Role.READOUT, layout, f"{prefix}only inputs grow")
    if evidence.anything_grows:
        # at a width factor of 1 no table changes anything, and embeddings never become sparse
        return _claim(evidence, name, Role.EMBEDDING, layout, f"{prefix}no dimension grows", is_end=False)
    if evidence.matters:
        return None
    return _claim(evidence, name, Role.HIDDEN, layout, f"{prefix}of the base's shape, where nothing is scaled")


def _is_router(evidence: Evidence, name: str, layout: Layout) -> bool:
    """Whether it has one output for each of the experts that stand beside it: modules in a list, or stacked weights.

    A network of ten blocks may have ten classes. Blocks normalise and attend, which experts do not; and the only layer
    that reads out at the end of a network is its output.
    """
    if not _counts_experts(evidence, name, layout):
        return False
    return name.startswith(evidence.blocks) or any(
        other != name and not other.startswith(evidence.blocks) and not _counts_experts(evidence, other, beside)
        for other, beside in evidence.readouts.items()
    )


def _counts_experts(evidence: Evidence, name: str, layout: Layout) -> bool:
    parent = name.rpartition(".")[0].rpartition(".")[0]
    outputs = evidence.shapes[name][layout.output]
    return outputs > 1 and any(outputs == _experts(m) for m in evidence.network.get_submodule(parent).children())


def _experts(module: nn.Module) -> int:
    """How many experts a module may hold: as a list, or stacked, (experts, inputs, outputs), as GPT-OSS has them."""
    if isinstance(module, nn.ModuleList):
        names = [type(inner).__name__ for inner in module.modules()]
        return 0 if any(kind in name for name in names for kind in ("Norm", "Attention")) else len(module)
    known = layouts_of(module)
    stacks = (
        len(parameter)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim == 3 and name not in known and min(parameter.shape) > 1
    )
    return next(stacks, 0)


def _claim(
    evidence: Evidence, name: str, role: Role, layout: Layout | None, why: str, is_end: bool | None = None
) -> Claim:
    shape = evidence.shapes[name]
    if layout is None:
        # as mup does: the last dimension that grows is the width, one before it is that of experts or positions
        fan_in, axes = 1, tuple(sorted(evidence.growing[name]))[-1:]
    else:
        fan_in = product(shape, layout.inputs)
        axes = (layout.output,) if role is Role.EMBEDDING else layout.inputs
    if is_end is None:
        is_end = not name.startswith(evidence.blocks)
    is_end = is_end and layout is not None and not layout.is_inner and role in (Role.EMBEDDING, Role.READOUT)
    width, aspect = evidence.ratio(name, axes), 1.0
    if role is Role.HIDDEN and layout is not None:
        aspect = evidence.ratio(name, (layout.output,)) / width
    return Claim(name, shape, role, fan_in, width, aspect, layout, is_end, why)


def role_table(network: nn.Module) -> dict[str, Claim]:
    """Claim the parameters of a network whose modules' types alone settle every role, as those of this package do.

    Returns:
        Parameter name to claim, in the order of ``network.named_parameters()``.

    Raises:
        OpenRolesError: a parameter belongs to a module whose type does not settle its role.
    """
    # its own base: no shape differs, so that types alone decide
    return {claim.name: claim for claim in claim_parameters(Evidence(network, network))}


def _require_matches(evidence: Evidence) -> None:
    for pattern in evidence.roles:
        if not any(fnmatchcase(name, pattern) for name in evidence.shapes):
            raise InputError("roles", pattern, "matches no parameter", f"names look like {next(iter(evidence.shapes))}")
