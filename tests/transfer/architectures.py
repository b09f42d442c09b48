"""Fifteen architectures of other people at any width, and what each of their parameters should be planned as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.transfer.evidence import Override
from tests.hugging_face import transformers
from tests.transfer.expected_roles import EXPECTED

BASE, WIDE = 32, 128
"""The widths that expected roles are about."""
HEAD = 16
"""Channels of an attention head at every width."""


@dataclass(frozen=True)
class Hooks:
    """Where multipliers should act: modules by path.

    Attributes:
        inputs: Those whose outputs are multiplied with the input multiplier.
        first: Those whose inputs are, because they map numbers and not rows of a table.
        readout: The one whose input is divided by m_d; none where the network has no output layer.
    """

    inputs: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    readout: str = ""


@dataclass(frozen=True)
class Architecture:
    """A network of somebody else's.

    Attributes:
        name: What people call it.
        make: The network at a width.
        sample: What its forward takes at a width.
        hooks: Where multipliers should act.
        roles: What a person has to say where there is no sample.
    """

    name: str
    make: Callable[[int], nn.Module]
    sample: Callable[[int], Any]
    hooks: Hooks
    roles: Mapping[str, Override] = field(default_factory=dict)

    @property
    def expected(self) -> tuple[tuple[str, str, int, float], ...]:
        """Pattern of names, role, fan-in and m_d at width ``WIDE``; the first that matches counts."""
        rows = (line.split() for line in EXPECTED[self.name].splitlines() if line)
        return tuple((pattern, role, int(fan_in), float(m_d)) for pattern, role, fan_in, m_d in rows)

    def on_meta(self, width: int) -> nn.Module:
        """The network without values."""
        with torch.device("meta"):
            return self.make(width)


def output_of(result: Any) -> Tensor:
    """What a network computes, out of whatever it returns."""
    found = getattr(result, "logits", result)
    tensor: Tensor = found[0] if isinstance(found, tuple) else found
    return tensor


def _of(model: str, config: str, **shape: Callable[[int], Any] | Any) -> Callable[[int], nn.Module]:
    """A model of ``transformers`` from its configuration; entries that are functions are given the width."""

    def make(width: int) -> nn.Module:
        package = transformers()
        values = {name: value(width) if callable(value) else value for name, value in shape.items()}
        network: nn.Module = getattr(package, model)(getattr(package, config)(**values))
        return network

    return make


def _times(factor: int) -> Callable[[int], int]:
    return lambda width: factor * width


def _stages(width: int) -> list[int]:
    return [width, 2 * width, 4 * width, 8 * width]


def _heads(width: int) -> int:
    return width // HEAD


_LLAMA: dict[str, Any] = {
    "hidden_size": _times(1),
    "intermediate_size": _times(3),
    "num_attention_heads": _heads,
    "num_key_value_heads": lambda width: _heads(width) // 2,
    "head_dim": HEAD,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}
_BERT: dict[str, Any] = {
    "hidden_size": _times(1),
    "intermediate_size": _times(4),
    "num_attention_heads": _heads,
    "num_hidden_layers": 2,
}
_EXPERTS = {"num_local_experts": 4}
_WHISPER: dict[str, Any] = {
    "d_model": _times(1),
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": _heads,
    "decoder_attention_heads": _heads,
    "encoder_ffn_dim": _times(4),
    "decoder_ffn_dim": _times(4),
    "max_source_positions": 16,
    "max_target_positions": 32,
    "vocab_size": 100,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}


def _tokens() -> Tensor:
    return torch.arange(16).view(2, 8) % 90 + 3


def _images(width: int) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


def _text(width: int) -> dict[str, Tensor]:
    return {"input_ids": _tokens()}


def _two_texts(width: int) -> dict[str, Tensor]:
    return {"input_ids": _tokens(), "decoder_input_ids": _tokens()}


def _sound(width: int) -> dict[str, Tensor]:
    features = torch.randn(2, 80, 32, generator=torch.Generator().manual_seed(0))
    return {"input_features": features, "decoder_input_ids": _tokens()}


def _transformer(width: int) -> nn.Module:
    layer = nn.TransformerEncoderLayer(width, _heads(width), 4 * width, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


ARCHITECTURES = (
    Architecture(
        "GPT-2",
        _of(
            "GPT2LMHeadModel",
            "GPT2Config",
            n_embd=_times(1),
            n_head=_heads,
            n_layer=2,
            vocab_size=100,
            n_positions=32,
            bos_token_id=1,
            eos_token_id=2,
        ),
        _text,
        Hooks(("transformer.wte", "transformer.wpe"), readout="lm_head"),
    ),
    Architecture(
        "Llama, tied",
        _of("LlamaForCausalLM", "LlamaConfig", tie_word_embeddings=True, **_LLAMA),
        _text,
        Hooks(("model.embed_tokens",), readout="lm_head"),
    ),
    Architecture(
        "Llama",
        _of("LlamaForCausalLM", "LlamaConfig", tie_word_embeddings=False, **_LLAMA),
        _text,
        Hooks(("model.embed_tokens",), readout="lm_head"),
    ),
    Architecture(
        "BERT",
        _of("BertForMaskedLM", "BertConfig", vocab_size=100, max_position_embeddings=32, **_BERT),
        _text,
        Hooks(
            tuple(f"bert.embeddings.{kind}_embeddings" for kind in ("word", "position", "token_type")),
            readout="cls.predictions.decoder",
        ),
    ),
    Architecture(
        "T5",
        _of(
            "T5ForConditionalGeneration",
            "T5Config",
            d_model=_times(1),
            d_ff=_times(4),
            num_heads=_heads,
            d_kv=HEAD,
            num_layers=2,
            vocab_size=100,
        ),
        _two_texts,
        Hooks(("shared", "encoder.embed_tokens", "decoder.embed_tokens"), readout="lm_head"),
    ),
    Architecture(
        "ViT",
        _of("ViTForImageClassification", "ViTConfig", image_size=32, patch_size=8, **_BERT),
        _images,
        Hooks(first=("vit.embeddings.patch_embeddings.projection",), readout="classifier"),
    ),
    Architecture(
        "Mixtral",
        _of("MixtralForCausalLM", "MixtralConfig", **_EXPERTS, **_LLAMA),
        _text,
        Hooks(("model.embed_tokens",), readout="lm_head"),
        {"*.mlp.gate.weight": "readout", "*.mlp.experts.*": "hidden"},
    ),
    Architecture(
        "Qwen3-MoE",
        _of(
            "Qwen3MoeForCausalLM",
            "Qwen3MoeConfig",
            moe_intermediate_size=_times(2),
            num_experts=4,
            num_experts_per_tok=2,
            **_LLAMA,
        ),
        _text,
        Hooks(("model.embed_tokens",), readout="lm_head"),
        {"*.mlp.gate.weight": "readout", "*.mlp.experts.*": "hidden"},
    ),
    Architecture(
        "GPT-OSS",
        _of("GptOssForCausalLM", "GptOssConfig", num_experts_per_tok=2, **_EXPERTS, **_LLAMA),
        _text,
        Hooks(("model.embed_tokens",), readout="lm_head"),
        {"*.mlp.router.weight": "readout", "*.experts.*_bias": "vector", "*.experts.*_proj": ("hidden", 1)},
    ),
    Architecture(
        "Mamba-2",
        _of(
            "Mamba2ForCausalLM",
            "Mamba2Config",
            hidden_size=_times(1),
            num_heads=lambda width: 2 * _heads(width),
            head_dim=HEAD,
            num_hidden_layers=2,
            vocab_size=100,
            state_size=16,
            n_groups=1,
        ),
        _text,
        Hooks(("backbone.embeddings",), readout="lm_head"),
    ),
    Architecture(
        "ConvNeXt",
        _of(
            "ConvNextForImageClassification",
            "ConvNextConfig",
            hidden_sizes=_stages,
            depths=[1, 1, 1, 1],
            image_size=32,
        ),
        _images,
        Hooks(first=("convnext.embeddings.patch_embeddings",), readout="classifier"),
    ),
    Architecture(
        "ResNet",
        _of(
            "ResNetForImageClassification",
            "ResNetConfig",
            embedding_size=_times(1),
            hidden_sizes=_stages,
            depths=[1, 1, 1, 1],
            layer_type="basic",
        ),
        _images,
        Hooks(first=("resnet.embedder.embedder.convolution",), readout="classifier.1"),
    ),
    Architecture(
        "Whisper",
        _of("WhisperForConditionalGeneration", "WhisperConfig", **_WHISPER),
        _sound,
        Hooks(
            ("model.encoder.embed_positions", "model.decoder.embed_tokens", "model.decoder.embed_positions"),
            ("model.encoder.conv1",),
            "proj_out",
        ),
    ),
    Architecture("nn.TransformerEncoder", _transformer, lambda width: torch.ones(2, 8, width), Hooks()),
    Architecture("nn.LSTM", lambda width: nn.LSTM(28, width, 2), lambda width: torch.ones(5, 2, 28), Hooks()),
)
"""In the order of the table in docs/any-model.md."""
