"""Which value the proxy of a sweep predicts, cell by cell, from the records that there are."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from smupar_transfer.records import Design, RunRecord
from smupar_transfer.statistics import cells, estimate, runs_table
from smupar_transfer.statistics.cell_summary import proxy_value
from smupar_transfer.statistics.optimum import Status


def transferred_values(
    sweep: Sequence[Iterable[RunRecord]], design: Design, otherwise: float | None = None
) -> list[float | None]:
    """log2 of what the proxy's cell predicts for each cell of a sweep, from these runs alone.

    Zero-shot regret transfers the same as long as the proxy's own cell is not run any further.

    Args:
        sweep: The runs of each cell, at least one; they differ in seed and in the swept hyperparameter only.
        design: The design of the sweep.
        otherwise: The value for cells whose proxy is not among ``sweep``.

    Returns:
        A value for each cell; None if it is not known, or of no use because nothing trained in the cell.
    """
    members = [list(runs) for runs in sweep]
    table = runs_table(record for runs in members for record in runs)  # at once: what varies between cells is known
    # rows are in the order of the records, so that a slice of the table is a cell
    starts = itertools.accumulate(map(len, members), initial=0)
    own_cells = []
    for start, runs in zip(starts, members, strict=False):
        (cell,) = cells(table.iloc[start : start + len(runs)], design)
        own_cells.append(cell)
    pairs = list(zip(own_cells, estimate(own_cells), strict=True))
    trained = [pair for pair in pairs if pair[1].status is not Status.NOTHING]
    return [
        None if optimum.status is Status.NOTHING else proxy_value(cell, design.axis, trained, otherwise)
        for cell, optimum in pairs
    ]
