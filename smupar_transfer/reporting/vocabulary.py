"""What a manifest says about its sweep, in the terms of the analysis and in words."""

from __future__ import annotations

import math

from smupar_transfer.records import Design, Manifest
from smupar_transfer.statistics.cell import Setup

HYPERPARAMETER_WORDS = {
    "learning_rate": ("learning rate", "η"),
    "init_std": ("initial standard deviation", "σ"),
    "input_multiplier": ("input multiplier", "α_in"),
    "output_multiplier": ("output multiplier", "α_out"),
    "weight_decay": ("weight decay", "λ"),
    "init_scale": ("scale of initial values", "over the model's own"),
}
"""Name and symbol of every base hyperparameter."""

AXIS_WORDS = {
    "sparsity": "sparsity of hidden weights",
    "width": "width",
    "base_width": "base width",
    "depth": "depth (blocks)",
    "tokens": "training tokens",
}


def proxy_log2(manifest: Manifest, name: str) -> float | None:
    """log2 of a base hyperparameter as it was tuned on the proxy; None if that is not known, or zero."""
    if name in manifest.proxy_hparams:
        value = manifest.proxy_hparams[name]
        # a weight decay may be 0, which has no place on an axis of octaves
        return math.log2(value) if value > 0 else None
    # manifests of earlier versions hold nothing but the rate
    return manifest.proxy_log2_learning_rate if name == "learning_rate" else None


def position_label(cell: Setup, design: Design) -> str:
    """Where a cell lies along the axis, as ticks and legends say it, with what is tied to it."""
    tied = [
        f"s = {cell.sparsity:.3g}" if name == "sparsity" else f"{name} {cell.settings[name]}" for name in design.tied
    ]
    here = cell.sparsity if design.axis == "sparsity" else float(cell.settings[design.axis])
    return ", ".join([f"{here:,.7g}", *tied])
