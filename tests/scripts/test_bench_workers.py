"""The benchmark of workers: how much sooner is told, and a command that fails ends it."""

from __future__ import annotations

import pandas as pd
import pytest

from bench_workers import seconds, table

TIMES = pd.DataFrame(
    [
        (number, command, way, spent * (1 + number))
        for number in (0, 1)
        for command, way, spent in (
            ("tune", "one worker", 100.0),
            ("tune", "two workers", 50.0),
            ("sweep", "one worker", 60.0),
            ("sweep", "two workers", 40.0),
        )
    ],
    columns=["round", "command", "way", "seconds"],
)


def test_each_way_is_compared_with_one_worker_of_the_same_command() -> None:
    rows = table(TIMES).set_index(["command", "way"])["times_sooner"].to_dict()
    assert rows == {
        ("tune", "one worker"): 1.0,
        ("tune", "two workers"): 2.0,
        ("sweep", "one worker"): 1.0,
        ("sweep", "two workers"): 1.5,
    }


def test_a_command_that_fails_is_no_time() -> None:
    with pytest.raises(RuntimeError, match=r"smupar: .*no command 'tuen': did you mean tune\?"):
        seconds(["tuen"], commands=2)
