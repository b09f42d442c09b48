"""Keys of the networks that ``model=OPTION`` chooses from; see ``schema``."""

from __future__ import annotations

from dataclasses import dataclass

from smupar_transfer.app.schema_parts import key
from smupar_transfer.records import Activation, Positions


@dataclass
class GPTConfig:
    """The proxy's shape; the target has the same, at its own width."""

    kind: str = key("which network this is; chosen by model=OPTION", "gpt")
    width: int = key("d_model, size of the residual stream")
    depth: int = key("number of blocks")
    head_dim: int = key("size of an attention head; divides the width, and stays as it is in a wider target")
    context: int = key("longest sequence that learned positions cover, in tokens")
    mlp_ratio: float = key("width of the feed-forward layers over width")
    activation: str = key("nonlinearity of the feed-forward layers", choices=Activation)
    positions: str = key("how the network knows the order of its tokens", choices=Positions)
    tied: bool = key("whether the readout uses the weights of the embedding")
    bias: bool = key("whether linear layers have biases")


@dataclass
class MLPConfig:
    """The proxy's shape; the target has the same, at its own width."""

    kind: str = key("which network this is; chosen by model=OPTION", "mlp")
    width: int = key("neurons of a hidden layer")
    depth: int = key("number of hidden layers")
    bias: bool = key("whether linear layers have biases")


@dataclass
class ModuleConfig:
    """The proxy of a model of your own; the target is made by the same function, at its own width."""

    kind: str = key("which network this is; chosen by model=OPTION", "module")
    factory: str = key("your own file, in Python, with make_model(width), batches(split, seed) and loss(model, batch)")
    width: int = key("width that the file's function is called with, for the proxy")
