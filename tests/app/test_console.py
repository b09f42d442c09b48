"""Tables, numbers and progress bars."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.progress import Progress

from smupar_transfer.app import console
from smupar_transfer.records import Evaluation
from smupar_transfer.reporting.outcome import Outcome, Summary, Table
from smupar_transfer.sweeps.sweep import Sweep


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.0 s"), (89.0, "89.0 s"), (90.0, "1.5 min"), (5400.0, "1.5 h"), (36000.0, "10.0 h")]
)
def test_durations_have_a_fitting_unit(value: float, text: str) -> None:
    assert console.seconds(value) == text


def test_a_table_is_at_most_100_columns_wide_and_keeps_its_first_column(capsys: pytest.CaptureFixture[str]) -> None:
    name = "blocks.0.attention.qkv.weight"
    rows = [[name, *(f"{index}.2345e-05" for index in range(12))]]
    console.terminal().print(console.table("heading", ["parameter", *map(str, range(12))], rows))
    out = capsys.readouterr().out
    assert out.startswith("heading\n")
    assert name in out
    assert max(map(len, out.splitlines())) <= console.MAXIMUM_COLUMNS


def test_a_table_without_names_has_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    console.terminal().print(console.table("run", ["", ""], [["loss", "1.5"], ["time", "2 s"]]))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["run"],
        ["loss", "1.5"],
        ["time", "2", "s"],
    ]


def test_headers_are_wrapped_before_entries_are(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["", *(f"a long header {index}" for index in range(8))]
    rows = [["SP", *["-1.00 to 2"] * 8]]
    assert console.fitting(columns, rows) == len(columns)
    console.terminal().print(console.table("heading", columns, rows))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split(maxsplit=1)[0] == "SP"
    assert lines[-1].count("-1.00 to 2") == 8
    assert max(map(len, lines)) <= console.MAXIMUM_COLUMNS


def outcome_of(columns: int, sentence: str = "It moved.") -> Outcome:
    frame = pd.DataFrame({"octaves": [1.0]})
    table = Table("drift", "Drift", "", frame, ("", *["octaves"] * columns), (("SP", *["1.00000"] * columns),))
    summary = Summary(("", "drift"), (("SP", "3.00 [2.61, 3.36]"), ("[x]", "0.10")), frozenset({(1, 1)}), "For pages.")
    tables = (table, Table("raw", "Raw", "", frame, (), ()))
    return Outcome(sentence, summary, "it stays", "open", ("A note [in brackets].",), tables, ())


def test_an_outcome_is_printed_with_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    console.outcome(outcome_of(3))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Drift",
        "   octaves octaves octaves",
        "SP 1.00000 1.00000 1.00000",
        "",
        "It moved.",
        "                drift",
        "SP  3.00 [2.61, 3.36]",
        "[x]              0.10",
        "Claim: it stays. Verdict: open.",
        "A note [in brackets].",
    ]


def test_columns_that_do_not_fit_are_left_to_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    console.outcome(outcome_of(20, "word " * 50))
    out = capsys.readouterr().out
    assert out.startswith("Drift (more columns in drift.csv)\n")
    assert out.splitlines()[2].count("1.00000") == 12
    assert max(map(len, out.splitlines())) <= console.MAXIMUM_COLUMNS


def test_progress_goes_to_standard_error_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("training", total=5, done=2) as bar:
        bar.advance("first")
        bar.advance("second")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "training" in captured.err
    assert "4/5 second" in captured.err


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, that progress goes by; a test lets it pass."""
    now = [0.0]
    monkeypatch.setattr(console, "Progress", partial(Progress, get_time=lambda: now[0]))
    monkeypatch.setattr(console, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


@pytest.mark.parametrize("start", [0, 900])
def test_rate_and_time_left_are_those_of_this_session(
    clock: list[float], capsys: pytest.CaptureFixture[str], start: int
) -> None:
    """A run that goes on from a checkpoint used to start at 0; what earlier sessions did says nothing of this one."""
    with console.progress_bar("training", total=1000) as bar:
        observer = console.TrainingBar(bar)
        clock[0] += 50  # for the data and the network
        observer.on_start(start)
        for step in range(start + 1, start + 41):
            clock[0] += 2
            observer.on_step(step, 3.25, 100)
        (task,) = bar._progress.tasks
        assert task.completed == start + 40
        assert task.elapsed == 80
        assert task.time_remaining == pytest.approx((960 - start) * 2, rel=0.05)
    err = capsys.readouterr().err
    assert f"{start + 40}/1000 loss 3.250  50 tokens/s 0:01:20" in err


def test_a_bar_can_say_why_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("tuning", total=5, done=2) as bar:
        bar.advance("first")
        bar.say("waiting")
    assert "3/5 waiting" in capsys.readouterr().err


def test_the_training_bar_shows_loss_validation_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("training", total=2) as bar:
        observer = console.TrainingBar(bar)
        observer.on_step(1, 3.25, 100)
        observer.on_evaluation(Evaluation(1, 3.25, 3.5, 0.1))
        observer.on_evaluation(Evaluation(1, None, None, 0.0))
        observer.on_step(2, 3.125, 100)
    err = capsys.readouterr().err
    assert "2/2 loss 3.125  validation 3.500" in err
    assert "tokens/s" in err


@pytest.mark.parametrize("count", [3, console.MANY_ITEMS])
def test_what_is_tracked_is_handed_on_and_leaves_no_trace(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.tracked("planning", list(range(count)))) == list(range(count))
    assert capsys.readouterr() == ("", "")


def test_an_introduction_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.introduction(Sweep("mine", "Why [b]not[/b]?\n"), Path("own/mine.yaml"))
    console.introduction(Sweep("theirs", "Why?", "Because.\n", "much"), None)
    said = "sweep mine of own/mine.yaml\nWhy [b]not[/b]?\n\nsweep theirs\nWhy?\nexpected: Because.\n\n"
    assert capsys.readouterr().out == said


def test_a_cost_is_told_if_it_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    console.stated_cost(Sweep("mine", "Why?", cost=f" {'very ' * 30}much\n"))
    console.stated_cost(Sweep("mine", "Why?"))
    assert capsys.readouterr().out == f"cost, by its file: {'very ' * 30}much\n"


def test_an_outcome_without_a_claim_has_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    console.outcome(Outcome("It moved.", Summary((), ()), "", "", (), (), ()))
    assert capsys.readouterr().out.strip() == "It moved."
