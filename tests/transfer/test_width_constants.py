"""Constants of a model's own that follow its width are said, with what makes up for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.transfer import plan
from tests.hugging_face import transformers


class Scaled(nn.Module):
    """Multiplies by the root of its width, as the first transformer did."""

    def __init__(self, width: int, follows: bool = True) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(11, width), nn.Linear(width, 11)
        self.factor = width**0.5 if follows else 3.0

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.tokens(tokens) * self.factor)  # type: ignore[no-any-return]


def gemma(width: int, **shape: Any) -> nn.Module:
    common = {"hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "vocab_size": 11}
    config = transformers().GemmaConfig(
        **common, num_attention_heads=width // 16, num_key_value_heads=1, head_dim=16, **shape
    )
    network: nn.Module = transformers().GemmaModel(config)
    return network


def test_an_embedding_that_is_scaled_by_its_width_is_said_with_what_makes_up_for_it() -> None:
    """Gemma keeps the number and a buffer of it: it is said once."""
    cautions = [line for line in plan(gemma(64), gemma(16)).cautions if "embed" in line]
    assert cautions == [
        "embed_tokens.embed_scale is 8, and 4 in the base: the plan does not count it, so have input_multiplier make "
        "up for it: 0.5 times the base's"
    ]


def test_what_makes_up_for_it_gives_what_the_base_gives() -> None:
    """Rows of a table keep their size under muP, whatever the width: so must what a scaled one gives."""
    sizes = {}
    for factor in (1.0, 0.5):
        network, base = gemma(64), gemma(16)
        plan(network, base, hparams={"input_multiplier": factor}).apply_(network)
        every = torch.arange(11)[None]
        ours, theirs = (each.get_submodule("embed_tokens")(every).detach() for each in (network, base))
        sizes[factor] = float(ours.std() / theirs.std())
    assert sizes == {1.0: pytest.approx(2, rel=0.2), 0.5: pytest.approx(1, rel=0.2)}


def test_a_factor_of_the_network_itself_is_said_and_one_that_stays_is_not() -> None:
    (caution,) = plan(Scaled(64), Scaled(16)).cautions
    assert caution.startswith(
        "factor is 8, and 4 in the base: the plan does not count it; if it multiplies what goes in"
    )
    assert plan(Scaled(64, follows=False), Scaled(16, follows=False)).cautions == ()
    assert plan(Scaled(64), Scaled(16), parametrization="sp").cautions == (), "SP is what the model does by itself"


def t5(kind: str, width: int, tied: bool) -> nn.Module:
    shape = {"d_model": width, "d_kv": 16, "d_ff": width, "num_heads": width // 16, "num_layers": 1, "vocab_size": 11}
    config = transformers().T5Config(**shape, tie_word_embeddings=tied, decoder_start_token_id=0)
    network: nn.Module = getattr(transformers(), kind)(config)
    return network


def test_what_t5_divides_by_itself_is_said_where_it_does() -> None:
    def cautions(kind: str, tied: bool) -> list[str]:
        return [line for line in plan(t5(kind, 64, tied), t5(kind, 16, tied)).cautions if "config" in line]

    (caution,) = cautions("T5ForConditionalGeneration", tied=True)
    assert caution.endswith("so have output_multiplier make up for it: 2 times the base's")
    assert cautions("T5ForConditionalGeneration", tied=False) == []
    assert cautions("T5EncoderModel", tied=True) == []


def test_relatives_of_t5_are_known_as_well() -> None:
    shape = {"d_kv": 16, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_sparse_encoder_layers": 0}

    def switch(width: int) -> nn.Module:
        config = transformers().SwitchTransformersConfig(
            d_model=width, num_heads=width // 16, num_sparse_decoder_layers=0, vocab_size=11, **shape
        )
        network: nn.Module = transformers().SwitchTransformersForConditionalGeneration(config)
        return network

    (caution,) = plan(switch(64), switch(16)).cautions
    assert caution.startswith("config.tie_word_embeddings: ")


def test_the_same_factor_of_many_modules_is_said_once() -> None:
    networks = [nn.Sequential(Scaled(width), Scaled(width)) for width in (64, 16)]
    (caution,) = plan(*networks).cautions
    assert caution.startswith("0.factor (and in 1 more) is 8, and 4 in the base")
