from __future__ import annotations

from typing import Any

import pytest

from bench import measure as module
from bench.cells import Cell, State
from bench.measure import FEWEST, measure

CELL = Cell(64, 0.5, 1, 8, 1)
STATE = State(1, 2, 3, 4)


class Fake:
    """A process that notes in what order it is asked."""

    asked: list[str]
    ended: list[str]

    def __init__(self, name: str, cell: Cell) -> None:
        assert cell == CELL
        self.name, self.steps = name, 0

    def ask(self, request: str) -> Any:
        Fake.asked.append(self.name)
        if request == "memory":
            return 100, True, STATE
        if request == "split":
            return {"rest": 1.0}
        self.steps += 1
        return float(self.steps)

    def end(self) -> None:
        Fake.ended.append(self.name)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_Process", Fake)
    Fake.asked, Fake.ended = [], []


def test_variants_take_turns_in_alternating_order() -> None:
    result = measure(CELL, ("textbook", "csr"), steps=2, warmup=1, seconds=60)
    assert Fake.asked[:6] == ["textbook", "csr", "csr", "textbook", "textbook", "csr"]
    assert Fake.ended == ["textbook", "csr"]
    assert result.variants["csr"].seconds == (2.0, 3.0)  # without the warm-up
    assert (result.variants["csr"].peak_bytes, result.variants["csr"].state) == (100, STATE)
    assert result.variants["csr"].peak_of_training
    assert result.variants["csr"].split == {"rest": 1.0}


def test_a_slow_cell_is_cut_short_but_not_below_the_fewest() -> None:
    result = measure(CELL, ("textbook", "csr"), steps=50, warmup=2, seconds=0)
    assert len(result.variants["textbook"].seconds) == len(result.variants["csr"].seconds) == FEWEST


def test_processes_end_when_one_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(self: Fake, _request: str) -> None:
        raise EOFError

    monkeypatch.setattr(Fake, "ask", die)
    with pytest.raises(EOFError):
        measure(CELL, ("textbook", "csr"), steps=2, warmup=0, seconds=60)
    assert Fake.ended == ["textbook", "csr"]
