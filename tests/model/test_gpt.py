"""The transformer: causal, aware of positions, the same in training and in generation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smupar_transfer.model import GPT, build
from smupar_transfer.model.gpt import alibi_bias
from smupar_transfer.records import Activation, Positions, RunSpec

SpecMaker = Callable[..., RunSpec]
STYLES = [(activation, positions) for activation in Activation for positions in Positions]


def built(spec: RunSpec) -> GPT:
    network, _ = build(spec)
    assert isinstance(network, GPT)
    return network


def tokens(count: int = 12, batch: int = 2) -> Tensor:
    return torch.randint(32, (batch, count), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("activation", "positions"), STYLES)
def test_logits_do_not_depend_on_later_tokens(gpt: SpecMaker, activation: Activation, positions: Positions) -> None:
    network = built(gpt(activation=activation, positions=positions, density=0.5))
    ids = tokens()
    changed = ids.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 32
    before, after = network(ids), network(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_causality_as_a_property_of_gradients(gpt: SpecMaker) -> None:
    network = built(gpt())
    embedded: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    network.tokens.register_forward_hook(keep)
    network(tokens())[:, 4].sum().backward()
    gradient = embedded[0].grad
    assert gradient is not None
    assert not gradient[:, 5:].any()
    assert bool((gradient[:, :5].abs().sum(-1) > 0).all())


@pytest.mark.parametrize("positions", Positions)
def test_the_order_of_earlier_tokens_matters(gpt: SpecMaker, positions: Positions) -> None:
    network = built(gpt(positions=positions))
    ids = tokens()
    swapped = ids[:, [1, 0, *range(2, 12)]]
    assert not torch.allclose(network(ids)[:, -1], network(swapped)[:, -1], atol=1e-6)


def test_without_positions_the_order_of_earlier_tokens_would_not_matter(gpt: SpecMaker) -> None:
    """The control of the test above, for one block: attention sums over a set."""
    network = built(gpt(positions=Positions.LEARNED, depth=1))
    assert network.positions is not None
    torch.nn.init.zeros_(network.positions.weight)
    ids = tokens()
    torch.testing.assert_close(network(ids)[:, -1], network(ids[:, [1, 0, *range(2, 12)]])[:, -1])


def test_alibi_has_the_published_slopes_and_masks_the_future() -> None:
    """Press et al., arXiv 2108.12409: slopes 1/2, 1/4, ..., 1/256 for 8 heads."""
    bias = alibi_bias(8, 4)
    assert bias.shape == (8, 4, 4)
    assert bias[:, 1, 0].tolist() == [-(2.0**-h) for h in range(1, 9)]
    assert bias[0, 3].tolist() == [-1.5, -1.0, -0.5, 0.0]
    assert bool(torch.isinf(bias[:, 0, 1:]).all())


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_linear_in_the_output_multiplier(gpt: SpecMaker, tied: bool) -> None:
    spec = gpt(tied=tied)
    doubled = replace(spec, hparams=replace(spec.hparams, output_multiplier=2 * spec.hparams.output_multiplier))
    torch.testing.assert_close(built(doubled)(tokens()), 2 * built(spec)(tokens()))


def test_the_input_multiplier_scales_what_enters_the_first_block(gpt: SpecMaker) -> None:
    entering = []
    for value in (1.0, 5.0):
        spec = gpt(positions=Positions.LEARNED)
        network = built(replace(spec, hparams=replace(spec.hparams, input_multiplier=value)))
        network.blocks[0].register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
        network(tokens())
    torch.testing.assert_close(entering[1], 5 * entering[0])


def test_generation_uses_the_forward_pass_of_training(gpt: SpecMaker) -> None:
    """Guards against multipliers that act in training only: greedy tokens are the likeliest of the same logits."""
    network = built(gpt(density=0.5))
    prompt = tokens(batch=1)[0]
    added = network.generate(prompt, 3, torch.Generator(), temperature=0)
    whole = torch.cat([prompt, added])
    expected = network(whole[None])[0].argmax(-1)
    assert added.tolist() == expected[len(prompt) - 1 : -1].tolist()


def test_sampling_follows_the_scaled_logits(gpt: SpecMaker) -> None:
    """A thousand samples of one token have the frequencies of the softmax, multiplier and temperature included."""
    spec = gpt()
    network = built(replace(spec, hparams=replace(spec.hparams, output_multiplier=8.0)))
    prompt = tokens(batch=1)[0]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([network.generate(prompt, 1, generator, temperature=2.0) for _ in range(1000)])
    expected = (network(prompt[None])[0, -1].detach() / 2.0).softmax(-1)
    frequencies = torch.bincount(drawn, minlength=32) / 1000
    assert float((frequencies - expected).abs().max()) < 0.06


def test_generation_goes_on_past_the_context(gpt: SpecMaker) -> None:
    network = built(gpt(context=16))
    added = network.generate(tokens(14, batch=1)[0], 8, torch.Generator().manual_seed(0))
    assert added.shape == (8,)
    again = network.generate(tokens(14, batch=1)[0], 8, torch.Generator().manual_seed(0))
    assert torch.equal(added, again)
