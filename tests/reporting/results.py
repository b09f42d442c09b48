"""A small outcome to write pages about."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from smupar_transfer.reporting.figures.curves import draw_learning_curve
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.provenance import Provenance

ABOUT = Provenance(
    name="a_sweep",
    question="Does it move?",
    expected="It does.",
    command="smupar sweep a_sweep",
    again="smupar plot a_sweep",
    facts=(("Machine", "a processor"), ("Data", "python, sha256 " + "ab" * 32)),
    files=("records.jsonl", "sweep.json"),
    cost="2 runs, 36.0 s",
)


def figure() -> Figure:
    return draw_learning_curve([1, 2], [3.0, 2.5], [3.0, 2.0])


def an_outcome(verdict: str = "holds", rows: int = 2, columns: int = 3) -> Outcome:
    frame = pd.DataFrame({"family": ["SP"] * rows, "octaves": [0.123456789] * rows})
    names = tuple("a column of numbers" for _ in range(columns))
    table = Table("drift", "Drift", "A note.", frame, ("", *names), (("SP", *["0.12"] * columns),) * rows)
    only_a_file = Table("raw", "", "", frame, (), ())
    return Outcome(
        sentence="SP moved 0.12 octaves.",
        summary=Summary(
            columns=("", "drift (octaves)", "verdict"),
            rows=(("SP", "3.00 [2.61, 3.36]", "moves"), ("SμPar", "0.12 [0.00, 0.30]", "stays put")),
            best=frozenset({(1, 1)}),
            note="Bold is the best of a column.",
        ),
        claim="SμPar stays put",
        verdict=verdict,
        notes=("One cell was lost.",),
        tables=(table, only_a_file),
        pictures=(Picture("a_sweep", "Loss against steps.", figure()), Picture("other", "Again.", figure())),
    )
