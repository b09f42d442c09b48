"""The transformer: causal, aware of positions, the same in training and in generation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from smupar_transfer.model import GPT, build
from smupar_transfer.model.gpt import alibi_bias
from smupar_transfer.records import Activation, GPTSpec, Positions, RunSpec
from smupar_transfer.theory import InputError

SpecMaker = Callable[..., RunSpec]
by_positions = pytest.mark.parametrize("positions", Positions)
STYLES = list(itertools.product(Activation, Positions))
by_style = pytest.mark.parametrize(("activation", "positions"), STYLES)


def built(spec: RunSpec) -> GPT:
    network, _ = build(spec)
    assert isinstance(network, GPT)
    return network


def with_multiplier(spec: RunSpec, **changes: float) -> GPT:
    return built(replace(spec, hparams=replace(spec.hparams, **changes)))


def tokens(count: int = 12, batch: int = 2) -> Tensor:
    return torch.randint(32, (batch, count), generator=torch.Generator().manual_seed(0))


def written_out(network: GPT, spec: GPTSpec, ids: Tensor, constants: tuple[float, float, float]) -> Tensor:
    """The logits of one sequence, from the parameters and multipliers alone."""
    p = dict(network.named_parameters())
    alpha_in, alpha_out, attention_scale = constants

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        normal = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return normal * p[f"{name}.weight"] + p.get(f"{name}.bias", 0.0)

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0.0)

    time, heads, alibi = len(ids), spec.width // spec.head_dim, spec.positions is Positions.ALIBI
    x = p["tokens.weight"][ids] + (0.0 if alibi else p["positions.weight"][:time])
    x = alpha_in * x
    for block in (f"blocks.{index}" for index in range(spec.depth)):
        parts = linear(f"{block}.attention.qkv", norm(f"{block}.attention_norm", x)).chunk(3, dim=-1)
        q, k, v = (part.view(time, heads, spec.head_dim).transpose(0, 1) for part in parts)
        logits = attention_scale * (q @ k.transpose(1, 2))
        for head, query, key in itertools.product(range(heads), range(time), range(time)):
            if key > query:
                logits[head, query, key] = -math.inf
            elif alibi:
                logits[head, query, key] -= (query - key) * 2 ** (-8 * (head + 1) / heads)
        mixed = (logits.softmax(-1) @ v).transpose(0, 1).reshape(time, spec.width)
        x = x + linear(f"{block}.attention.out", mixed)
        h = linear(f"{block}.mlp.up", norm(f"{block}.mlp_norm", x))
        if spec.activation is Activation.SWIGLU:
            gate, value = h.chunk(2, dim=-1)
            h = gate * gate.sigmoid() * value
        else:
            h = 0.5 * h * (1 + torch.erf(h / 2**0.5))
        x = x + linear(f"{block}.mlp.down", h)
    weight = p["tokens.weight"] if spec.tied else p["readout.weight"]
    return alpha_out * (norm("norm", x) @ weight.T)


@pytest.mark.parametrize(("tied", "bias"), [(True, False), (False, True)])
@pytest.mark.parametrize(("table", "alpha_out", "scale"), [("smupar", 2 / 4, 1 / 8), ("sp", 2.0, 8**-0.5)])
@by_style
def test_its_function_written_out(
    gpt: SpecMaker,
    activation: Activation,
    positions: Positions,
    tied: bool,
    bias: bool,
    table: str,
    alpha_out: float,
    scale: float,
) -> None:
    """Multipliers from SuPar's Table 1 at m_d = 4, base values 3 and 2, heads 8 wide."""
    style = {"activation": activation, "positions": positions, "tied": tied, "bias": bias}
    spec = gpt(**style, parametrization=table, density=0.5)
    network = built(spec).double()
    for name, parameter in network.named_parameters():
        if "norm" in name or name.endswith("bias"):
            nn.init.normal_(parameter, mean=0.5)
    assert isinstance(spec.model, GPTSpec)
    ids = tokens(6)
    with torch.no_grad():
        expected = [written_out(network, spec.model, row, (3.0, alpha_out, scale)) for row in ids]
        torch.testing.assert_close(network(ids), torch.stack(expected))


def leaks(network: GPT, at: int = 4) -> tuple[bool, bool]:
    """By gradients: whether logits at a position depend on any later token, and whether on all up to it."""
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    network.tokens.register_forward_hook(keep)
    network(tokens())[:, at].pow(2).sum().backward()
    gradient = embedded[0].grad
    assert gradient is not None
    depends = gradient.abs().sum(-1) > 0
    return bool(depends[:, at + 1 :].any()), bool(depends[:, : at + 1].all())


@by_style
def test_logits_depend_on_all_tokens_before_and_on_none_after(
    gpt: SpecMaker, activation: Activation, positions: Positions
) -> None:
    network = built(gpt(activation=activation, positions=positions, density=0.5))
    assert leaks(network) == (False, True)
    ids = tokens()
    changed = ids.clone()
    changed[:, 6] = (changed[:, 6] + 1) % 32
    before, after = network(ids), network(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_a_network_that_sees_the_future_is_caught(gpt: SpecMaker) -> None:
    """The control of the test above."""
    network = built(gpt(positions=Positions.ALIBI))
    assert network.alibi is not None
    network.alibi.zero_()
    assert leaks(network) == (True, True)


@by_positions
def test_the_order_of_earlier_tokens_matters(gpt: SpecMaker, positions: Positions) -> None:
    network = built(gpt(positions=positions, depth=1))
    ids = tokens()
    swapped = ids[:, [1, 0, *range(2, 12)]]
    assert not torch.allclose(network(ids)[:, -1], network(swapped)[:, -1], atol=1e-4)


@by_positions
def test_without_positions_the_order_would_not_matter(gpt: SpecMaker, positions: Positions) -> None:
    """The control of the test above, for one block: attention sums over a set."""
    network = built(gpt(positions=positions, depth=1))
    if network.positions is None:
        assert network.alibi is not None
        network.alibi.copy_(torch.full((16, 16), -math.inf).triu(1))
    else:
        nn.init.zeros_(network.positions.weight)
    ids = tokens()
    torch.testing.assert_close(network(ids)[:, -1], network(ids[:, [1, 0, *range(2, 12)]])[:, -1])


def test_alibi_has_the_published_slopes_and_masks_the_future() -> None:
    """Press et al., arXiv 2108.12409: slopes 1/2, 1/4, ..., 1/256 for 8 heads."""
    bias = alibi_bias(8, 4)
    assert bias.shape == (8, 4, 4)
    assert bias[:, 1, 0].tolist() == [-(2.0**-h) for h in range(1, 9)]
    assert bias[0, 3].tolist() == [-1.5, -1.0, -0.5, 0.0]
    future = torch.ones(4, 4, dtype=torch.bool).triu(1)
    assert torch.equal(torch.isinf(bias), future.expand(8, 4, 4))
    assert bool((bias[:, future] < 0).all())
    assert alibi_bias(6, 2)[:, 1, 0].tolist() == pytest.approx([-(2 ** (-8 * h / 6)) for h in range(1, 7)])


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_linear_in_the_output_multiplier(gpt: SpecMaker, tied: bool) -> None:
    spec = gpt(tied=tied, density=0.25)
    expected = built(spec)(tokens())
    for factor in (2.0, 0.1):
        scaled = with_multiplier(spec, output_multiplier=factor * spec.hparams.output_multiplier)
        torch.testing.assert_close(scaled(tokens()), factor * expected)


@by_positions
def test_the_input_multiplier_scales_what_enters_a_block(gpt: SpecMaker, positions: Positions) -> None:
    entering: list[Tensor] = []
    for value in (1.0, 5.0):
        network = with_multiplier(gpt(positions=positions), input_multiplier=value)
        network.blocks[0].register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
        network(tokens())
    torch.testing.assert_close(entering[1], 5 * entering[0])


@pytest.mark.parametrize("head_dim", [7, 48, 128])
def test_heads_that_do_not_divide_the_width_are_refused_by_key(gpt: SpecMaker, head_dim: int) -> None:
    with pytest.raises(InputError, match=rf"^model\.head_dim={head_dim}: does not divide width 64; try "):
        gpt(head_dim=head_dim)


def greedy(network: GPT, prompt: Tensor, length: int) -> Tensor:
    return network.generate(prompt, length, torch.Generator(), temperature=0)


@by_positions
def test_greedy_tokens_are_the_likeliest_of_the_forward_pass(gpt: SpecMaker, positions: Positions) -> None:
    network = built(gpt(density=0.5, positions=positions))
    prompt = tokens(batch=1)[0]
    added = greedy(network, prompt, 4)
    whole = torch.cat([prompt, added])
    assert added.tolist() == network(whole[None])[0].argmax(-1)[len(prompt) - 1 : -1].tolist()
    assert len(set(whole.tolist())) > 1


@by_positions
def test_past_the_context_the_latest_tokens_are_the_window(gpt: SpecMaker, positions: Positions) -> None:
    network = built(gpt(context=6, positions=positions, budget=replace(gpt().budget, sequence_length=6)))
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    prompt, generator = tokens(4, batch=1)[0], torch.Generator().manual_seed(0)
    whole = torch.cat([prompt, network.generate(prompt, 10, generator, temperature=5.0)])
    assert whole.shape == (14,)
    assert len(set(whole.tolist())) > 4
    windows = [whole[max(0, end - 6) : end].tolist() for end in range(4, 14)]
    assert [ids.tolist() for ids in seen] == [[window] for window in windows]
    long = tokens(20, batch=1)[0]
    assert torch.equal(greedy(network, long, 2), greedy(network, long[-6:], 2))


def test_alibi_reads_sequences_longer_than_those_it_was_saved_with(gpt: SpecMaker) -> None:
    """Position biases are no part of a checkpoint, so that the context may grow; learned positions are."""
    for positions in Positions:
        short, long = (built(gpt(positions=positions, context=size, seed=size)) for size in (8, 12))
        if positions is Positions.LEARNED:
            with pytest.raises(RuntimeError, match=r"size mismatch for positions\.weight"):
                long.load_state_dict(short.state_dict())
        else:
            long.load_state_dict(short.state_dict())
            assert torch.equal(long(tokens(8)), short(tokens(8)))
            assert long(tokens(12)).shape == (2, 12, 32)


def test_sampling_follows_the_logits_of_the_forward_pass(gpt: SpecMaker) -> None:
    """Guards against multipliers that act in training only, to which greedy tokens are blind.

    At m_d = 4 logits are multiplied with 40 / 4; tokens come at the temperature 2.
    """
    network = with_multiplier(gpt(width=16, base_width=4, head_dim=4, depth=1), output_multiplier=40.0)
    assert network.multipliers.output == 10.0
    prompt, generator = tokens(2, batch=1)[0], torch.Generator().manual_seed(0)
    drawn = torch.cat([network.generate(prompt, 1, generator, temperature=2.0) for _ in range(1000)])
    frequencies = torch.bincount(drawn, minlength=32) / 1000
    logits = network(prompt[None])[0, -1].detach() / 2.0

    def distance(factor: float) -> float:
        return float((frequencies - (factor * logits).softmax(-1)).abs().sum())

    assert distance(1.0) < 0.15
    for wrong in (1 / 10, 10.0, 4.0, 2.0, 1 / 2):  # multiplier left out or doubled, no m_d, temperature
        assert distance(wrong) > 0.3


def test_the_same_generator_gives_the_same_text_and_no_gradients(gpt: SpecMaker) -> None:
    network = built(gpt())
    tracked: list[bool] = []
    network.register_forward_hook(lambda module, inputs, output: tracked.append(output.requires_grad))
    prompt = tokens(3, batch=1)[0]
    first, again, other = (network.generate(prompt, 16, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype is torch.int64
    assert not any(tracked)
    assert len(tracked) == 3 * 16
