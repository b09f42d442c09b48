"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, against dense products."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from smupar_transfer.sparsity import named_generator
from smupar_transfer.sparsity.backends.panels import Blocking, Panels
from tests.kernels.sanitizers import MACHINES, instrumented, run

SOURCE = Path(__file__).with_name("sanitized.cpp")


@dataclass
class Case:
    """Everything that the program reads; see its ``main``."""

    mask: Tensor
    tokens: int
    rows: Panels
    columns: Panels
    inputs: Tensor
    bias: Tensor
    upstream: Tensor
    weight: Tensor

    @classmethod
    def drawn(
        cls, shape: tuple[int, int], tokens: int, density: float, blocks: tuple[int, int], panel: int = 256
    ) -> Case:
        generator = named_generator(0, "test", "sanitized")
        mask = torch.rand(shape, generator=generator) < density
        if density < 1:  # an empty row and column; at 1 the mask is full
            mask[shape[0] // 2] = False
            mask[:, shape[1] // 2] = False
        forward, backward = (Blocking(panel, block, 32) for block in blocks)
        structures = Panels.of_rows(mask, forward), Panels.of_columns(mask, backward)
        sizes = [(tokens, shape[1]), (shape[0],), (tokens, shape[0]), shape]
        inputs, bias, upstream, weight = (torch.randn(size, generator=generator) for size in sizes)
        return cls(mask, tokens, *structures, inputs, bias, upstream, weight * mask)

    @property
    def positions(self) -> Tensor:
        assert self.columns.positions is not None
        return self.columns.positions.long()

    def walked(self) -> Tensor:
        """Places of the entries in the order of the panels of rows."""
        places = torch.arange(self.mask.numel()).view(self.mask.shape)
        panel, block = self.rows.blocking.panel, self.rows.blocking.block
        parts = [part for rows in torch.split(places, panel) for part in torch.split(rows, block, dim=1)]
        return torch.cat([part[self.mask.flatten()[part]] for part in parts])

    def content(self) -> bytes:
        values = self.weight[self.mask]
        rows, columns = self.rows, self.columns
        sizes = [self.tokens, *self.mask.shape, len(values)]
        sizes += [size for part in (rows, columns) for size in (part.blocking.panel, part.blocking.block)]
        sizes += [rows.starts.numel(), columns.starts.numel()]
        in_panels = values[
            torch.searchsorted(rows.flat_indices((self.mask.shape[0], self.mask.shape[1])), self.walked())
        ]
        arrays = [self.inputs, self.bias, self.upstream, in_panels, values[self.positions]]
        arrays += [rows.index, columns.index, rows.starts, columns.starts]
        return b"".join([np.array(sizes, dtype=np.int64).tobytes(), *(array.numpy().tobytes() for array in arrays)])

    def results(self) -> list[Tensor]:
        """What each width of tile gives: output, gradients, and the gradient for values again on its own."""
        inputs, upstream, weight = self.inputs.double(), self.upstream.double(), self.weight.double()
        for_values = (upstream.T @ inputs)[self.mask][self.positions]
        return [inputs @ weight.T + self.bias, upstream @ weight, for_values, for_values]


@pytest.fixture(scope="module", params=MACHINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernels, instrumented."""
    return instrumented(SOURCE, tmp_path_factory.mktemp("sanitized"), request.param)


def cases() -> Iterator[Case]:
    yield Case.drawn((1, 1), 1, 1.0, (1024, 1024))
    yield Case.drawn((1, 90), 40, 0.5, (1024, 1024))
    yield Case.drawn((90, 1), 40, 0.5, (16, 16))
    yield Case.drawn((33, 47), 130, 0.0, (16, 16))
    yield Case.drawn((64, 64), 128, 1.0, (64, 64))
    yield Case.drawn((50, 70), 40, 1.0, (16, 7), panel=16)
    dice = random.Random(0)
    for _ in range(20):
        rows, columns, tokens = (dice.choice([dice.randint(1, 20), dice.randint(1, 150)]) for _ in range(3))
        blocks = dice.choice([7, 16, 64, 1024]), dice.choice([7, 16, 64, 1024])
        yield Case.drawn((rows, columns), tokens, dice.choice([0.01, 0.1, 0.5]), blocks, dice.choice([5, 16, 256]))


@pytest.mark.usefixtures("needs_compiler")
class TestSanitized:
    def test_ragged_shapes_are_right_and_touch_nothing_else(self, program: Path) -> None:
        for case in cases():
            result = run(program, case.content())
            assert result.returncode == 0, f"{case.mask.shape}, {case.tokens} tokens: {result.stderr.decode()}"
            computed, expected = torch.frombuffer(bytearray(result.stdout), dtype=torch.float32), case.results()
            sizes = [value.numel() for value in expected]
            widths = len(computed) // sum(sizes)
            assert widths >= 3
            for value, reference in zip(torch.split(computed, sizes * widths), expected * widths, strict=True):
                torch.testing.assert_close(value, reference.flatten().float(), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("where", ["rows", "columns"])
    def test_an_index_out_of_bounds_is_caught(self, program: Path, where: str) -> None:
        """The control: the last entry of one structure is at the first place behind what the kernels may read."""
        case = Case.drawn((64, 64), 16, 0.5, (64, 64))
        structure = case.rows if where == "rows" else case.columns
        structure.index[-1] = 64 + (64 if where == "rows" else 0)  # forwards, the sums of 64 rows lie behind the inputs
        result = run(program, case.content())
        assert result.returncode != 0
        assert b"heap-buffer-overflow" in result.stderr

    def test_a_misaligned_vector_is_caught(self, program: Path) -> None:
        """The control of the other sanitizer."""
        result = run(program, Case.drawn((64, 64), 16, 0.5, (64, 64)).content(), "misaligned")
        assert result.returncode != 0
        assert b"misaligned address" in result.stderr
