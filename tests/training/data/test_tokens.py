"""Windows of token streams."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.records import DataSpec
from smupar_transfer.theory import InputError
from smupar_transfer.training import TokenData
from smupar_transfer.training.data.binary import load_binary


def stream(train: int, validation: int) -> TokenData:
    """Token i of a split is i, so that a window shows where it was taken."""
    return TokenData(
        spec=DataSpec(name="text", sha256="0", train_size=train, validation_size=validation),
        train=np.arange(train, dtype=np.uint16),
        validation=np.arange(validation, dtype=np.uint16),
        vocab_size=max(train, validation),
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.data())
def test_targets_are_the_inputs_shifted_by_one(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 40))
    corpus = stream(data.draw(st.integers(length + 1, 200)), data.draw(st.integers(length + 1, 200)))
    batch_size = data.draw(st.integers(1, 5))
    batches = corpus.validation_batches(data.draw(st.integers(1, 4)), batch_size, length)
    for inputs, targets in [corpus.train_batch(generator(), batch_size, length), *batches]:
        assert inputs.shape == targets.shape == (batch_size, length)
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal(targets, inputs + 1)
        assert torch.equal(inputs, inputs[:, :1] + torch.arange(length))


def test_every_window_of_the_training_split_can_come_up() -> None:
    inputs, targets = stream(6, 6).train_batch(generator(), 200, 3)
    assert set(inputs[:, 0].tolist()) == {0, 1, 2}
    assert targets.max() == 5


def test_batches_follow_from_the_generator_alone() -> None:
    corpus = stream(1000, 100)
    first, again, other = (corpus.train_batch(generator(seed), 8, 16)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_generator_goes_on_from_its_saved_state() -> None:
    corpus, batches = stream(1000, 100), generator()
    corpus.train_batch(batches, 8, 16)
    state = batches.get_state()
    expected = corpus.train_batch(batches, 8, 16)[0]
    resumed = generator(5)
    resumed.set_state(state)
    assert torch.equal(corpus.train_batch(resumed, 8, 16)[0], expected)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 30), st.integers(0, 300))
def test_validation_windows_are_evenly_spaced(count: int, batch_size: int, length: int, spare: int) -> None:
    corpus = stream(length + 1, length + 1 + spare)
    batches = corpus.validation_batches(count, batch_size, length)
    assert len(batches) == count
    starts = torch.cat([inputs[:, 0] for inputs, _ in batches])
    assert starts[0] == 0
    if len(starts) > 1:
        gaps = starts.diff()
        assert gaps.max() - gaps.min() <= 1
        assert int(batches[-1][1][-1, -1]) == length + spare, "the last token of the split is a target"


def test_validation_does_not_touch_the_global_random_stream() -> None:
    corpus = stream(100, 100)
    torch.manual_seed(0)
    first = corpus.validation_batches(2, 2, 8)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    second = corpus.validation_batches(2, 2, 8)
    assert all(torch.equal(untouched, two) for untouched, two in zip(first[1], second[1], strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_splits_that_just_hold_one_window_are_enough() -> None:
    corpus = stream(9, 9)
    corpus.check(8)
    assert corpus.train_batch(generator(), 2, 8)[0].tolist() == [list(range(8))] * 2


@pytest.mark.parametrize(("train", "validation", "split"), [(8, 50, "training"), (50, 8, "validation"), (50, 0, "")])
def test_a_corpus_shorter_than_a_window_is_refused(train: int, validation: int, split: str) -> None:
    corpus = stream(train, validation)
    with pytest.raises(InputError, match=rf"needs 9 tokens in a row, the {split}.*holds {min(train, validation)}"):
        corpus.train_batch(generator(), 1, 8)
    with pytest.raises(InputError) as caught:
        corpus.validation_batches(1, 1, 8)
    assert (caught.value.key, caught.value.value) == ("budget.sequence_length", 8)


def test_a_window_without_inputs_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        stream(9, 9).check(0)


def test_a_mapped_file_that_is_cut_is_told_before_it_kills_the_process(tmp_path: Path) -> None:
    """Guards against SIGBUS, which ends a process without a word."""
    path = tmp_path / "tokens.bin"
    (np.arange(100_000) % 997).astype("<u2").tofile(path)
    data = load_binary(str(path), 0.1)
    inputs, _ = data.train_batch(generator(), 4, 16)
    assert inputs.shape == (4, 16)
    os.truncate(path, 1000)
    for read in (lambda: data.train_batch(generator(), 4, 16), lambda: data.validation_batches(2, 4, 16)):
        with pytest.raises(InputError, match=r"was cut to 1,000 bytes while it was read, of 200,000; restore the file"):
            read()
    (np.arange(100_000) % 997).astype("<u2").tofile(path)
    assert torch.equal(data.train_batch(generator(), 4, 16)[0], inputs), "the control: restored, it is read again"
