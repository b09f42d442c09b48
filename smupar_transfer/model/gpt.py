"""A pre-norm decoder-only transformer.

Shape suffixes: B batch, T time, D width, H heads, C channels of a head, F feed-forward width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.kernels import is_computed
from smupar_transfer.model.attention import causal_attention
from smupar_transfer.records import Activation, GPTSpec, Positions, SparsitySpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.transfer import Embedding, Multipliers, ReadoutLinear

LinearFactory = Callable[[int, int], SparseLinear]


class Attention(nn.Module):
    """Causal self-attention with sparse projections."""

    def __init__(self, spec: GPTSpec, linear: LinearFactory, scale: float) -> None:
        super().__init__()
        self.head_dim, self.scale = spec.head_dim, scale
        # one product for all three: fan-in and density are the same, and so are the rules
        self.qkv = linear(spec.width, 3 * spec.width)
        self.out = linear(spec.width, spec.width)
        self.native = False  # whether the C++ kernels compute; ``build`` decides

    def forward(self, x_BTD: Tensor, bias_HTT: Tensor | None) -> Tensor:
        """Attend; ``bias_HTT`` is added to the logits and masks the future, None means causal without bias."""
        batch, time, width = x_BTD.shape
        qkv_BT3HC = self.qkv(x_BTD).view(batch, time, 3, width // self.head_dim, self.head_dim)
        y_BTHC = causal_attention(qkv_BT3HC, bias_HTT, self.scale, native=self.native)
        return self.out(y_BTHC.reshape(batch, time, width))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two sparse projections around a nonlinearity; SwiGLU doubles the first (Shazeer, arXiv 2002.05202)."""

    def __init__(self, spec: GPTSpec, linear: LinearFactory) -> None:
        super().__init__()
        inner = int(spec.width * spec.mlp_ratio)
        self.gated = spec.activation is Activation.SWIGLU
        self.up = linear(spec.width, 2 * inner if self.gated else inner)
        self.down = linear(inner, spec.width)
        self.native = False  # whether the C++ kernels compute; ``build`` decides

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map each position on its own."""
        h_BTF = self.up(x_BTD)
        if self.gated:
            gate_BTF, value_BTF = h_BTF.chunk(2, dim=-1)
            return self.down(F.silu(gate_BTF) * value_BTF)  # type: ignore[no-any-return]
        if self.native and is_computed(h_BTF):
            return self.down(torch.ops.smupar_native.gelu(h_BTF))  # type: ignore[no-any-return]
        return self.down(F.gelu(h_BTF))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and feed-forward, each behind a LayerNorm and around a residual connection."""

    def __init__(self, spec: GPTSpec, linear: LinearFactory, attention_scale: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(spec.width, bias=spec.bias)
        self.attention = Attention(spec, linear, attention_scale)
        self.mlp_norm = nn.LayerNorm(spec.width, bias=spec.bias)
        self.mlp = FeedForward(spec, linear)

    def forward(self, x_BTD: Tensor, bias_HTT: Tensor | None) -> Tensor:
        """One residual step."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), bias_HTT)
        return x_BTD + self.mlp(self.mlp_norm(x_BTD))  # type: ignore[no-any-return]


def alibi_bias(heads: int, context: int) -> Tensor:
    """Linear position biases with the causal mask in them, (heads, context, context).

    Head h of H has the slope 2**(-8 (h+1) / H) (Press et al., arXiv 2108.12409, section 3), for any H.
    """
    if torch.get_default_device().type == "meta":  # an outline: PyTorch takes a second to import what computes nothing
        return torch.empty(heads, context, context)
    slopes_H = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    position_T = torch.arange(context)
    distance_TT = (position_T[None, :] - position_T[:, None]).float()  # key minus query: negative in the past
    bias_HTT = slopes_H[:, None, None] * distance_TT
    return bias_HTT.masked_fill(distance_TT > 0, float("-inf"))


class GPT(nn.Module):
    """A language model over token ids.

    Args:
        spec: shape of the network.
        sparsity: of the attention and feed-forward projections; embeddings, norms and readout are dense.
        multipliers: constants of the forward pass.
        backend: compute of sparse layers.
    """

    alibi: Tensor | None

    def __init__(
        self, spec: GPTSpec, sparsity: SparsitySpec, multipliers: Multipliers, backend: str = "masked"
    ) -> None:
        super().__init__()
        self.spec, self.multipliers = spec, multipliers
        linear = partial(
            SparseLinear, bias=spec.bias, density=sparsity.density, mask_kind=sparsity.mask, backend=backend
        )
        learned = spec.positions is Positions.LEARNED
        self.tokens = Embedding(spec.vocab_size, spec.width)
        self.positions = Embedding(spec.context, spec.width) if learned else None
        self.blocks = nn.ModuleList(Block(spec, linear, multipliers.attention) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, bias=spec.bias)
        self.readout = None if spec.tied else ReadoutLinear(spec.width, spec.vocab_size, bias=False)
        alibi = None if learned else alibi_bias(spec.width // spec.head_dim, spec.context)
        # not in checkpoints: it follows from the specification
        self.register_buffer("alibi", alibi, persistent=False)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of ``ids_BT``; T is at most the context."""
        time = ids_BT.shape[1]
        x_BTD = self.tokens(ids_BT)
        if self.positions is not None:
            x_BTD = x_BTD + self.positions.weight[:time]
        x_BTD = x_BTD * self.multipliers.input  # alpha_input, on positions as well: SuPar, table 1
        bias_HTT = None if self.alibi is None else self.alibi[:, :time, :time]
        for block in self.blocks:
            x_BTD = block(x_BTD, bias_HTT)
        weight_VD = self.tokens.weight if self.readout is None else self.readout.weight
        # The multiplier goes on the smaller of the two factors: features, not logits.
        return F.linear(self.norm(x_BTD) * self.multipliers.output, weight_VD)

    @torch.no_grad()
    def generate(self, prompt_T: Tensor, length: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Continue a prompt by sampling.

        Args:
            prompt_T: at least one token id, int64.
            length: tokens to add.
            generator: source of randomness, on the CPU.
            temperature: positive; logits are divided by it. 0 takes the likeliest token.

        Returns:
            The added token ids, (length,).
        """
        ids_T = prompt_T
        for _ in range(length):
            # the last tokens only: learned positions reach no further
            logits_V = self(ids_T[-self.spec.context :][None])[0, -1].float().cpu()
            if temperature == 0:
                token = logits_V.argmax(keepdim=True)
            else:
                token = torch.multinomial((logits_V / temperature).softmax(-1), 1, generator=generator)
            ids_T = torch.cat([ids_T, token.to(ids_T.device)])
        return ids_T[len(prompt_T) :]
