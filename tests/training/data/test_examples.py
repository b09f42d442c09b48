"""Digits and their split."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.theory import InputError
from smupar_transfer.training import ExampleData
from smupar_transfer.training.data.examples import load_digits, stratified


@pytest.fixture(scope="module")
def digits() -> ExampleData:
    pytest.importorskip("sklearn")
    return load_digits()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200))
def test_a_fifth_of_each_class_is_held_out(labels: list[int]) -> None:
    held_out = stratified(np.array(labels))
    held = Counter(label for label, out in zip(labels, held_out, strict=True) if out)
    assert all(held[label] == number // 5 for label, number in Counter(labels).items())


def test_digits_have_the_promised_shapes(digits: ExampleData) -> None:
    assert digits.train_inputs.shape == (digits.spec.train_size, 64)
    assert digits.validation_inputs.shape == (digits.spec.validation_size, 64)
    assert digits.train_inputs.dtype == torch.float32
    assert digits.train_labels.dtype == digits.validation_labels.dtype == torch.int64
    assert (digits.features, digits.classes) == (64, 10)
    assert set(digits.train_labels.tolist()) == set(digits.validation_labels.tolist()) == set(range(10))


def test_the_whole_set_is_split_once_a_fifth_for_validation(digits: ExampleData) -> None:
    assert digits.spec.train_size + digits.spec.validation_size == 1797  # the size in scikit-learn's documentation
    assert digits.spec.validation_size == pytest.approx(1797 / 5, abs=10)


def test_inputs_are_standardised_over_all_training_pixels_together(digits: ExampleData) -> None:
    assert digits.train_inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert digits.train_inputs.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    per_pixel = digits.train_inputs.std(dim=0)
    assert per_pixel.min() == 0, "a pixel that is always blank stays so"
    assert per_pixel.max() < 2
    assert digits.validation_inputs.mean().item() != pytest.approx(0, abs=1e-6), "its own statistics are not used"


def test_validation_went_through_the_same_map_as_training(digits: ExampleData) -> None:
    levels = np.unique(torch.cat([digits.train_inputs, digits.validation_inputs]).numpy())
    assert len(levels) == 17  # grey levels 0..16
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0], atol=1e-5)


def test_the_hash_pins_pixels_and_labels(digits: ExampleData) -> None:
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    content = bytes(pixels.astype(int).ravel().tolist()) + bytes(labels.tolist())
    assert digits.spec.sha256 == hashlib.sha256(content).hexdigest()
    assert digits.spec.bytes_per_token is None


def test_training_batches_follow_from_the_generator(digits: ExampleData) -> None:
    first, again, other = (digits.train_batch(torch.Generator().manual_seed(seed), 32, 1) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (32, 64)
    assert first[1].shape == (32,)


def test_inputs_keep_their_labels(digits: ExampleData) -> None:
    inputs, labels = digits.train_batch(torch.Generator().manual_seed(0), 16)
    for row, label in zip(inputs, labels, strict=True):
        places = (digits.train_inputs == row).all(dim=1)
        assert label in digits.train_labels[places]


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (3, 7), (5, 71), (16, 64)])
def test_validation_is_even_and_the_same_every_time(digits: ExampleData, count: int, batch_size: int) -> None:
    batches = digits.validation_batches(count, batch_size, 1)
    assert [len(labels) for _, labels in batches] == [batch_size] * count
    taken = Counter(tuple(row.tolist()) for inputs, _ in batches for row in inputs)
    total, size = count * batch_size, digits.spec.validation_size
    assert len(taken) == min(total, size)
    assert set(taken.values()) <= {total // size, -(-total // size)}
    again = digits.validation_batches(count, batch_size, 1)
    assert all(torch.equal(first[1], two[1]) for first, two in zip(batches, again, strict=True))


def test_digits_are_no_sequences(digits: ExampleData) -> None:
    with pytest.raises(InputError, match=r"^budget.sequence_length=2: must be 1 for data=digits"):
        digits.train_batch(torch.Generator(), 4, 2)
    with pytest.raises(InputError, match=r"must be 1"):
        digits.validation_batches(1, 4, 2)


def test_a_missing_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"needs scikit-learn; run: pip install 'smupar-transfer\[digits\]'"):
        load_digits()
