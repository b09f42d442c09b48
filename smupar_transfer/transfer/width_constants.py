"""Constants of a model's own that follow its width: factors that a plan does not count."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor, nn

from smupar_transfer.transfer.module_multipliers import head_size
from smupar_transfer.transfer.names import join

TIED = ("switch_transformers", "udop")
"""Relatives of T5 that divide what goes into a tied output layer, and have no word of their own for it."""


def constant_cautions(network: nn.Module, base: nn.Module) -> Iterator[str]:
    """A sentence for each constant of a module that is another one in the base, as factors on embeddings often are.

    Looked at are numbers with a fraction that a module keeps, as attributes or as buffers, and T5's configuration; what
    else a forward pass computes anew is not seen. Those of attention modules whose heads are of another size belong to
    the plan's own factors.

    Args:
        network: The network that is planned.
        base: Its base.
    """
    theirs = dict(base.named_modules())
    places: dict[tuple[str, float, float, bool], list[str]] = {}
    for path, module in network.named_modules():
        other = theirs.get(path)
        if other is None or head_size(module)[0] != head_size(other)[0]:
            continue
        before, seen = dict(_constants(other)), set()
        for name, value in _constants(module):
            # some keep one twice, as a number and as a buffer
            if name in before and not math.isclose(value, before[name], rel_tol=1e-6) and value not in seen:
                seen.add(value)
                kind = (name, value, before[name], isinstance(module, nn.Embedding))
                places.setdefault(kind, []).append(path)
    for (name, value, before_value, is_embedding), paths in places.items():
        yield _sentence(name, paths, value, before_value, is_embedding)
    yield from _scaled_outputs(network, base)


def _constants(module: nn.Module) -> Iterator[tuple[str, float]]:
    # buffers first: they are what is computed with
    for name, buffer in module._buffers.items():
        if isinstance(buffer, Tensor) and buffer.ndim == 0 and buffer.is_floating_point() and not buffer.is_meta:
            yield name, float(buffer)
    for name, value in vars(module).items():
        if isinstance(value, float):
            yield name, value


def _sentence(name: str, paths: list[str], value: float, before: float, is_embedding: bool) -> str:
    more = f" (and in {len(paths) - 1} more)" if len(paths) > 1 else ""
    says = f"{join(paths[0], name)}{more} is {value:.6g}, and {before:.6g} in the base: the plan does not"
    if before == 0 or value == 0:
        return f"{says} count what it changes"
    if is_embedding:
        return f"{says} count it, so have input_multiplier make up for it: {before / value:.6g} times the base's"
    return (
        f"{says} count it; if it multiplies what goes in or what comes out, have input_multiplier or output_multiplier "
        f"make up for it: {before / value:.6g} times the base's; if it multiplies attention, keep the size of heads"
    )


def _scaled_outputs(network: nn.Module, base: nn.Module) -> Iterator[str]:
    """T5 and those like it in ``transformers`` divide what goes into a tied output layer by the root of the width."""
    ours, theirs = (getattr(module, "config", None) for module in (network, base))
    own, before = (getattr(config, "d_model", None) for config in (ours, theirs))
    tied = getattr(ours, "model_type", "") in TIED and getattr(ours, "tie_word_embeddings", False)
    # encoders have the same configuration, and no output layer
    if not (tied or getattr(ours, "scale_decoder_outputs", False)) or not hasattr(network, "lm_head") or own == before:
        return
    if isinstance(own, int) and isinstance(before, int):
        factor, key = (own / before) ** 0.5, "tie_word_embeddings" if tied else "scale_decoder_outputs"
        yield (
            f"config.{key}: what goes into the output layer is divided by the root of the width, beside "
            f"the plan's own factor, so have output_multiplier make up for it: {factor:.6g} times the base's"
        )
