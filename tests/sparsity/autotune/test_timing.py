"""What is measured, not how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import BACKENDS, DENSE, Workload
from smupar_transfer.sparsity.autotune import timing
from smupar_transfer.sparsity.autotune.timing import bytes_beside, extrapolated, measure
from smupar_transfer.sparsity.backends.base import MaskedBackend

WORK = Workload(24, 16, nonzero=96, full=False, tokens=8, threads=1, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _two_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense one, which must always be there, and one that need not."""
    monkeypatch.setattr(Workload, "candidates", lambda self: (DENSE,) if self.full else ("masked", "csr"))


class Watched(MaskedBackend):
    """Counts steps and remembers what it was given; takes ``seconds`` a step longer."""

    def __init__(self, mask: Tensor, seconds: float = 0.0) -> None:
        super().__init__(mask)
        self.seconds, self.steps, self.tokens = seconds, 0, set[int]()
        self.autocast = False

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        self.steps += 1
        self.tokens.add(len(inputs))
        self.wait(len(inputs))
        self.autocast = torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            return super().linear(inputs, weight, bias)

    def wait(self, tokens: int) -> None:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Watched]]:
    """Replace masked and csr by watched ones that take so many seconds longer."""

    def replace(**seconds: float) -> dict[str, Watched]:
        made: dict[str, Watched] = {}

        def maker(name: str) -> Callable[[Tensor], Watched]:
            return lambda mask: made.setdefault(name, Watched(mask, seconds[name]))

        for name in seconds:
            monkeypatch.setitem(BACKENDS, name, maker(name))
        return made

    return replace


def test_all_candidates_are_timed() -> None:
    timings = measure(WORK)
    assert set(timings) == {"masked", "csr"}
    assert all(
        row.products > 0 and row.update > 0 and row.seconds == row.products + row.update for row in timings.values()
    )


def test_a_full_mask_is_timed_as_a_dense_layer() -> None:
    timings = measure(Workload(24, 16, 24 * 16, True, 8, 1))
    assert list(timings) == ["dense"]
    assert timings["dense"].structure == 0


def test_the_slower_one_measures_slower(watch: Callable[..., dict[str, Watched]]) -> None:
    watch(masked=0.004, csr=0.002)
    timings = measure(WORK)
    assert timings["masked"].products > 0.004 > timings["csr"].products > 0.002


def test_a_hopeless_rival_is_measured_once_and_masked_never_given_up(
    watch: Callable[..., dict[str, Watched]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "MOST_ATTEMPTS", 1)  # at such short steps a busy machine makes for more of them
    made = watch(masked=0.0, csr=0.03)
    assert set(measure(WORK)) == {"masked", "csr"}
    assert made["csr"].steps == 2 < 1 + timing.LEAST_ROUNDS <= made["masked"].steps
    made = watch(masked=0.03, csr=0.0)
    measure(WORK)
    assert made["masked"].steps > timing.LEAST_ROUNDS


def test_what_others_take_of_a_core_does_not_count(
    watch: Callable[..., dict[str, Watched]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one thread; with more there is no other way than to look at a clock on the wall."""
    watch(masked=0.0, csr=0.0)
    monkeypatch.setattr(Watched, "wait", lambda self, tokens: time.sleep(0.02))  # another process has the core
    torch.set_num_threads(1)
    assert measure(WORK)["masked"].products < 0.02
    torch.set_num_threads(2)
    assert measure(replace(WORK, threads=2))["masked"].products > 0.02


class MadeUp(Watched):
    """Takes so many seconds a step and so many a token, by a clock of its own."""

    def __init__(self, mask: Tensor, fixed: float, per_token: float) -> None:
        super().__init__(mask)
        self.fixed, self.per_token, self.now = fixed, per_token, 0.0

    def wait(self, tokens: int) -> None:
        self.now += self.fixed + self.per_token * tokens


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, MadeUp]:
    """Masked and csr whose durations are known: the one has work that no token adds to, the other has none."""
    made: dict[str, MadeUp] = {}

    def maker(name: str, fixed: float, per_token: float) -> Callable[[Tensor], MadeUp]:
        return lambda mask: made.setdefault(name, MadeUp(mask, fixed, per_token))

    monkeypatch.setitem(BACKENDS, "masked", maker("masked", 0.5, 0.001))
    monkeypatch.setitem(BACKENDS, "csr", maker("csr", 0.0, 0.004))
    monkeypatch.setattr(timing, "_now", lambda weight: sum(backend.now for backend in made.values()))
    monkeypatch.setattr(timing, "DENSE_ENTRIES", 64 * 16)
    monkeypatch.setattr(timing, "SPARSE_STORED", 16 * 64)
    return made


LARGE = Workload(256, 16, 1024, False, 4096, 1, torch.float64)


def test_many_tokens_are_measured_in_part_and_work_that_they_share_counts_once(
    made_up: dict[str, MadeUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = replace(LARGE, fan_out=64, nonzero=256)
    for operations, measured in ((3.0 * 64 * 16 * 4096, {4096}), (3.0 * 64 * 16 * 1500, {512, 1024})):  # whole pieces
        made_up.clear()
        monkeypatch.setattr(timing, "MOST_OPERATIONS", operations)
        timings = measure(workload)
        assert made_up["masked"].tokens == made_up["csr"].tokens == measured
        assert timings["masked"].products == pytest.approx(0.5 + 0.001 * 4096)
        assert timings["csr"].products == pytest.approx(0.004 * 4096)


class Busy:
    """Turns that take five times as long, from one of them on."""

    def __init__(self, first: int, count: int) -> None:
        self.first, self.last, self.turns = first, first + count, 0

    def wait(self, made: MadeUp, tokens: int) -> None:
        self.turns += 1
        times = 5 if self.first <= self.turns < self.last else 1
        made.now += times * (made.fixed + made.per_token * tokens)


@pytest.mark.parametrize("first", [1, 5, 9])
@pytest.mark.parametrize("count", [3, 6, 10])
def test_a_busy_moment_does_not_stay(
    made_up: dict[str, MadeUp], monkeypatch: pytest.MonkeyPatch, first: int, count: int
) -> None:
    """Wherever it begins, and though it takes up to half of a measurement."""
    monkeypatch.setattr(timing, "ENOUGH_SECONDS", 10.0)  # all the turns that there are
    busy = Busy(first, count)
    monkeypatch.setattr(MadeUp, "wait", lambda self, tokens: busy.wait(self, tokens))
    timings = measure(replace(LARGE, tokens=256))
    assert busy.turns > count
    assert timings["masked"].products == pytest.approx(4 * (0.5 + 0.001 * 256))
    assert timings["csr"].products == pytest.approx(0.004 * 256)
    assert timing.largest_spread(timings) <= timing.LARGE_SPREAD


def test_without_a_second_attempt_it_would(made_up: dict[str, MadeUp], monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: half of the turns, from the second on."""
    monkeypatch.setattr(timing, "ENOUGH_SECONDS", 0.0)
    for attempts, expected in ((3, 1.0), (1, 5.0)):
        made_up.clear()
        busy = Busy(3, 4)
        monkeypatch.setattr(MadeUp, "wait", lambda self, tokens, busy=busy: busy.wait(self, tokens))
        monkeypatch.setattr(timing, "MOST_ATTEMPTS", attempts)
        found = measure(replace(LARGE, tokens=256))["masked"].products
        assert found == pytest.approx(expected * 4 * (0.5 + 0.001 * 256))


def test_timings_tell_how_far_they_lie_apart_and_when_they_are_from(made_up: dict[str, MadeUp]) -> None:
    timings = measure(LARGE)
    assert [row.spread for row in timings.values()] == pytest.approx([0.0, 0.0])
    age = datetime.now(UTC) - datetime.fromisoformat(timings["masked"].measured)
    assert timedelta(0) <= age < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("seconds", "expected"), [([3.0], None), ([2.0, 2.0, 2.0], 0.0), ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 3), ([0, 0], 0)]
)
def test_the_spread_is_that_of_the_middle_half(seconds: list[float], expected: float | None) -> None:
    assert timing.spread_of(seconds) == (None if expected is None else pytest.approx(expected))


def test_however_few_are_affordable_whole_pieces_are_measured(
    made_up: dict[str, MadeUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "MOST_OPERATIONS", 1.0)
    timings = measure(LARGE)
    assert made_up["masked"].tokens == {timing.PIECE, 2 * timing.PIECE}
    assert timings["masked"].products == pytest.approx(4 * (0.5 + 0.001 * 4096))
    made_up.clear()
    assert measure(replace(LARGE, tokens=2 * timing.PIECE))["masked"].products == pytest.approx(4 * (0.5 + 0.512))
    assert made_up["masked"].tokens == {2 * timing.PIECE}


def test_large_layers_are_measured_on_a_band_of_rows_and_scaled(
    made_up: dict[str, MadeUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    timings = measure(LARGE)
    assert made_up["masked"].mask.shape == (64, 16)
    assert made_up["csr"].mask.shape == (256, 16)  # as many weights make more rows
    assert timings["masked"].products == pytest.approx(4 * (0.5 + 0.001 * 4096))
    assert timings["csr"].products == pytest.approx(0.004 * 4096)
    monkeypatch.setattr(timing, "SPARSE_ENTRIES", 128 * 16)
    made_up.clear()
    assert measure(LARGE)["csr"].products == pytest.approx(2 * 0.004 * 4096)
    assert made_up["csr"].mask.shape == (128, 16)


def test_an_accelerator_measures_the_whole_layer() -> None:
    """Guards against lines through two times that are both those of starting a kernel."""
    large = Workload(4096, 1024, 4096 * 64, False, 8192, 1)
    there = replace(large, device="cuda")
    for name in ("masked", "expand", "csr"):
        assert timing._rows(there, name) == 4096
    assert timing._counts(there) == (8192,)
    assert timing._rows(large, "masked") < 4096
    assert len(timing._counts(large)) == 2


def test_a_rival_on_more_rows_is_not_hopeless_for_that(made_up: dict[str, MadeUp]) -> None:
    """On four times the rows, 16.4 s are not more than three times 4.6."""
    measure(LARGE)
    assert made_up["csr"].steps == made_up["masked"].steps > 2


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param({256: 1.5, 512: 2.5}, 4.5, id="a line"),
        pytest.param({512: 2.5, 256: 1.5}, 4.5, id="in any order"),
        pytest.param({256: 1.0, 512: 2.0}, 4.0, id="in proportion"),
        pytest.param({256: 1.0, 512: 2.5}, 5.5, id="more than in proportion"),
        pytest.param({256: 2.0, 512: 2.0}, 2.0, id="level"),
        pytest.param({256: 2.0, 512: 1.5}, 2.0, id="no line falls"),
        pytest.param({1024: 3.0}, 3.0, id="measured"),
    ],
)
def test_times_go_on_along_a_line(measured: dict[int, float], expected: float) -> None:
    assert extrapolated(1024, measured) == pytest.approx(expected)


def test_a_rival_that_fails_is_left_out_and_masked_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(mask: Tensor) -> Any:
        raise RuntimeError("this build has no sparse products")

    monkeypatch.setitem(BACKENDS, "csr", broken)
    assert set(measure(WORK)) == {"masked"}
    monkeypatch.setitem(BACKENDS, "masked", broken)
    with pytest.raises(RuntimeError, match="no sparse products"):
        measure(WORK)


@pytest.mark.parametrize(("precision", "expected"), [(torch.float32, False), (torch.bfloat16, True)])
def test_products_are_timed_in_their_own_precision(
    watch: Callable[..., dict[str, Watched]], precision: torch.dtype, expected: bool
) -> None:
    made = watch(masked=0.0, csr=0.0)
    measure(replace(WORK, precision=precision))
    assert {name: layer.autocast for name, layer in made.items()} == {"masked": expected, "csr": expected}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_leaves_no_trace_and_works_where_gradients_are_off(context: Any) -> None:
    state = torch.get_rng_state()
    with context():
        assert measure(WORK)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("name", "expected"), [("masked", 4.0), ("csr", 12.0)])
def test_bytes_beside_the_weights(name: str, expected: float) -> None:
    """A float mask; two int32 indices and a position. Row starts vanish in a large layer; the mask is not counted."""
    mask = torch.rand(64, 2048, generator=torch.Generator().manual_seed(0)) < 0.5
    stored = mask.numel() if name == "masked" else int(mask.sum())
    assert bytes_beside(BACKENDS[name](mask), mask) / stored == pytest.approx(expected, rel=0.02)
