"""A layer under ``auto``: whatever is chosen, the choice is made once and lasts."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from smupar_transfer.sparsity import SparseLinear, Workload, backends_in_use, named_generator
from smupar_transfer.sparsity.backends.base import DenseBackend
from smupar_transfer.sparsity.linear import TYPICAL_TOKENS


class Chooser:
    """Chooses as told, and remembers for what."""

    def __init__(self) -> None:
        self.name, self.asked = "csr", list[Workload]()

    def __call__(self, workload: Workload) -> str:
        self.asked.append(workload)
        return self.name


@pytest.fixture
def chooser(monkeypatch: pytest.MonkeyPatch) -> Chooser:
    made = Chooser()
    monkeypatch.setattr("smupar_transfer.sparsity.linear.choose_backend", made)
    return made


def layer(density: float = 0.25, backend: str = "auto") -> SparseLinear:
    return SparseLinear(20, 12, bias=True, density=density, backend=backend)


def drawn(made: SparseLinear, seed: int = 0) -> SparseLinear:
    made.draw_mask(named_generator(seed, "mask", "w"))
    made.set_weight(torch.randn(made.shape, generator=named_generator(seed, "weight", "w")))
    torch.nn.init.zeros_(made.bias)  # type: ignore[arg-type]
    return made


def test_the_layer_is_laid_out_for_what_was_chosen(chooser: Chooser) -> None:
    for name, shape in (("csr", (60,)), ("masked", (12, 20))):
        chooser.name, made = name, layer()
        made.choose_backend(512, "cpu")
        drawn(made)
        assert (made.backend_name, made.weight.shape) == (name, torch.Size(shape))
        torch.testing.assert_close(made(torch.eye(20)).T, made.dense_weight() + 0)
    assert chooser.asked == [Workload(12, 20, 60, False, 512, torch.get_num_threads())] * 2


def test_a_layer_that_nobody_asked_to_choose_does_when_it_gets_weights(chooser: Chooser) -> None:
    made = drawn(layer())
    made(torch.zeros(1, 20))
    assert [workload.tokens for workload in chooser.asked] == [TYPICAL_TOKENS]
    assert made.backend_name == "csr"


def test_the_choice_outlives_copies_masks_and_moods(chooser: Chooser) -> None:
    made = drawn(layer())
    chooser.name = "masked"
    made.choose_backend(1, "cpu")
    drawn(made, seed=1)
    copies = [made, copy.deepcopy(made), pickle.loads(pickle.dumps(made))]
    assert {(twin.backend_name, twin.weight.shape) for twin in copies} == {("csr", torch.Size([60]))}
    assert len(chooser.asked) == 1


def test_nothing_is_chosen_for_full_masks_named_backends_and_outlines(chooser: Chooser) -> None:
    full, named = layer(1.0), layer(backend="masked")
    for made in (full, named):
        made.choose_backend(512, "cpu")
        drawn(made)
    with torch.device("meta"):
        outline = layer()
    assert isinstance(full.backend, DenseBackend)
    assert isinstance(outline.backend, DenseBackend)
    assert (named.backend_name, outline.backend_name, chooser.asked) == ("masked", "auto", [])


@pytest.mark.parametrize("names", [("csr", "masked"), ("masked", "csr")])
def test_weights_travel_between_choices(chooser: Chooser, names: tuple[str, str]) -> None:
    chooser.name = names[0]
    saved = drawn(layer())
    chooser.name = names[1]
    loaded = layer()
    loaded.load_state_dict(saved.state_dict())
    assert (saved.backend_name, loaded.backend_name) == names
    assert torch.equal(loaded.dense_weight(), saved.dense_weight())


def test_a_sparse_mask_is_loaded_into_a_full_layer(chooser: Chooser) -> None:
    saved, loaded = drawn(layer()), drawn(layer(1.0))
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(loaded.dense_weight(), saved.dense_weight())
    inputs = torch.randn(3, 20)
    torch.testing.assert_close(loaded(inputs), saved(inputs))


def test_layers_are_counted_by_what_computes(chooser: Chooser) -> None:
    layers = [drawn(layer()), drawn(layer()), drawn(layer(1.0)), drawn(layer(backend="masked"))]
    assert backends_in_use(torch.nn.ModuleList([*layers, torch.nn.Linear(2, 2)])) == {"csr": 2, "dense": 1, "masked": 1}
