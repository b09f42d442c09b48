"""Ctrl-C and SIGTERM wait for a moment at which a run can be left."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from smupar_transfer.training.interruption import ENDINGS, endings_held_back


class EndedError(Exception):
    """What the handlers of these tests raise."""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[int]]:
    """Note each signal and raise an exception, in place of what the process has."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    delivered: list[int] = []

    def handle(number: int, frame: object) -> None:
        delivered.append(number)
        raise EndedError

    for number in ENDINGS:
        signal.signal(number, handle)
    finished.clear()
    yield delivered
    for number, handler in before.items():
        signal.signal(number, handler)


def work(*signals: signal.Signals) -> list[bool]:
    """What a block that is asked to end is told before each of some signals, and after the last."""
    told: list[bool] = []
    with endings_held_back() as asked:
        for number in signals:
            told.append(asked())
            signal.raise_signal(number)
        told.append(asked())
        finished.append(told)
    return told


finished: list[list[bool]] = []
"""What was told in blocks that came to their end."""


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_waits_for_the_end_of_the_block(handlers: list[int], number: signal.Signals) -> None:
    with pytest.raises(EndedError):
        work(number)
    assert finished == [[False, True]]
    assert handlers == [number]


@pytest.mark.parametrize("second", ENDINGS)
def test_a_second_signal_acts_at_once(handlers: list[int], second: signal.Signals) -> None:
    with pytest.raises(EndedError):
        work(signal.SIGINT, second)
    assert finished == []
    assert handlers == [second]


def test_without_a_signal_nothing_happens_and_everything_is_put_back(handlers: list[int]) -> None:
    before = [signal.getsignal(number) for number in ENDINGS]
    with endings_held_back() as asked:
        assert [signal.getsignal(number) for number in ENDINGS] != before
        assert not asked()
    assert [signal.getsignal(number) for number in ENDINGS] == before
    assert handlers == []


def test_an_error_in_the_block_is_told_rather_than_the_signal(handlers: list[int]) -> None:
    before = [signal.getsignal(number) for number in ENDINGS]

    def fail() -> None:
        with endings_held_back():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        fail()
    assert [signal.getsignal(number) for number in ENDINGS] == before
    assert handlers == []


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As SIGINT is in what a shell starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with endings_held_back() as asked:
        signal.raise_signal(signal.SIGINT)
        assert not asked()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_outside_the_main_thread_nothing_is_held_back(handlers: list[int]) -> None:
    before = [signal.getsignal(number) for number in ENDINGS]
    seen: list[Callable[[], bool]] = []

    def look() -> None:
        with endings_held_back() as asked:
            assert [signal.getsignal(number) for number in ENDINGS] == before
            seen.append(asked)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert [asked() for asked in seen] == [False]
