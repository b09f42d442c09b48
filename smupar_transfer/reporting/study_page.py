"""The page about a search for base hyperparameters, on a proxy or on the target itself."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pandas as pd

from smupar_transfer.reporting.figures.style import save
from smupar_transfer.reporting.figures.tuning_history import Trial, completed, draw_history, draw_slices
from smupar_transfer.reporting.number_format import duration, joined, loss
from smupar_transfer.reporting.outcome import Outcome, Picture, Summary, Table
from smupar_transfer.reporting.provenance import Provenance, cost, counted, optimization, settings
from smupar_transfer.reporting.publish import publish
from smupar_transfer.reporting.registry import TUNE, pictures_of, register_figure
from smupar_transfer.reporting.study import SearchedRange, Study
from smupar_transfer.reporting.vocabulary import HYPERPARAMETER_WORDS
from smupar_transfer.statistics.confirmed import tied_with, winner

TRIALS_ON_PAGE = 10
"""On the page; ``trials.csv`` has all."""
NEARLY_BEST = 1.01
"""Times the best loss, up to which a trial is as good as the best in practice."""
NEAR_END = 0.05
"""Part of a searched range beside each of its ends, within which the best may lie beyond."""


def draw_study(folder: Path, study: Study) -> None:
    """Write the figures of a search: its history, and a slice per hyperparameter.

    Raises:
        InputError: a file cannot be written.
    """
    for picture in pictures_of(TUNE, study):
        save(picture.figure, folder / picture.name)


def publish_study(folder: Path, study: Study) -> None:
    """Write figures, ``trials.csv`` and ``report.html`` of a search, and the list of all results.

    Raises:
        InputError: a file cannot be written.
    """
    publish(folder, provenance(study), outcome(study), readme=False)


def outcome(study: Study) -> Outcome:
    """What came out of a search."""
    return Outcome(
        sentence=sentence(study),
        summary=summary(study),
        claim="",
        verdict="",
        notes=_notes(study),
        tables=(*([_confirmations(study)] if study.confirmed else []), _trials(study)),
        pictures=pictures_of(TUNE, study),
    )


def sentence(study: Study) -> str:
    """Which trial is best, how good it is, and how good the defaults are."""
    trial, lowest = study.best
    if study.confirmed:
        return _confirmed_sentence(study, trial)
    told = f"Trial {trial.number} of {len(study.trials)} is best, with a validation loss of {lowest:.4f} nats"
    first = next((tried for tried in study.trials if _is_default(tried, study)), None)
    if first is None:
        return f"{told}."
    if first is trial:
        return f"{told}; its hyperparameters are the defaults."
    return f"{told}; the defaults {'were ' + first.outcome if first.value is None else f'reach {first.value:.4f}'}."


def _confirmed_sentence(study: Study, trial: Trial) -> str:
    best = winner(study.confirmed)
    seeds = counted(len(best.losses), "further seed")
    if math.isinf(best.mean):
        return f"Every one of the best {counted(len(study.confirmed), 'trial')} diverged with one of {seeds}."
    error = "" if best.standard_error is None else f" (standard error {best.standard_error:.4f})"
    told = f"Trial {trial.number} of {len(study.trials)} is best: its mean validation loss over {seeds} is "
    told += f"{best.mean:.4f} nats{error}"
    if len(study.confirmed) > 1:
        told += f", the lowest of the {len(study.confirmed)} best trials, which were trained again"
    tied = tied_with(best, study.confirmed)
    if tied:
        word = "ties" if len(tied) == 1 else "tie"
        told += f"; {joined([f'trial {number}' for number in tied])} {word} with it, within the standard error"
    return f"{told}{_defaults_confirmed(study, trial)}."


def _defaults_confirmed(study: Study, best: Trial) -> str:
    """How good the defaults are beside the best trial, where they were trained again; else nothing to compare."""
    if _is_default(best, study):
        return "; its hyperparameters are the defaults, which the search did not improve on"
    usual = [trial.number for trial in study.trials if _is_default(trial, study)]
    means = [item.mean for item in study.confirmed if item.trial in usual and math.isfinite(item.mean)]
    return f"; the defaults reach {means[0]:.4f}" if means else ""


def _is_default(trial: Trial, study: Study) -> bool:
    """Whether a trial has the defaults, moved into the ranges, as the first of every search has."""
    wanted = (
        (trial.hparams[name], min(max(getattr(study.proxy.hparams, name), axis.low), axis.high))
        for name, axis in study.space.items()
    )
    # values have been through a database, which may have rounded their last bits
    return all(math.isclose(value, default, rel_tol=1e-9) for value, default in wanted)


def summary(study: Study) -> Summary:
    """A row a hyperparameter: the best value, and how far around it the loss is nearly as good."""
    trial, _ = study.best
    rows = []
    for name, axis in study.space.items():
        inside = _good(study, name)
        part = abs(_part(max(inside), axis) - _part(min(inside), axis))
        good = (f"{min(inside):.4g} to {max(inside):.4g}", f"{100 * part:.0f} %") if len(inside) > 1 else ("-", "-")
        rows.append(
            (
                " ".join(HYPERPARAMETER_WORDS[name]),
                f"{trial.hparams[name]:.4g}",
                f"{getattr(study.proxy.hparams, name):.4g}",
                f"{axis.low:.4g} to {axis.high:.4g}",
                *good,
            )
        )
    return Summary(
        columns=("", "best", "default", "searched", "within 1 % of the best loss", "part of the range"),
        rows=tuple(rows),
        best=frozenset((row, 1) for row in range(len(rows))),
        note=f"Within 1 % of the best loss lie {counted(len(_near(study)), 'trial')}, between the values in that "
        "column; the wider that part of the searched range, the less this hyperparameter matters by itself. A search "
        "tries few values where it expects nothing good, so that the true part may be wider.",
    )


def _near(study: Study) -> list[Trial]:
    """Completed trials whose loss is nearly the lowest."""
    # losses of the search, which all trials have; means over further seeds are known of a few
    lowest = min(value for _, value in completed(study.trials))
    return [trial for trial, value in completed(study.trials) if value <= NEARLY_BEST * lowest]


def _good(study: Study, name: str) -> list[float]:
    return [trial.hparams[name] for trial in _near(study)]


def _part(value: float, axis: SearchedRange) -> float:
    """Where a value lies in its range, from 0 to 1, on the scale that was searched."""
    low, high, at = (math.log2(number) if axis.log else number for number in (axis.low, axis.high, value))
    return (at - low) / (high - low)


def _notes(study: Study) -> tuple[str, ...]:
    trial, _ = study.best
    ends = [
        f"{HYPERPARAMETER_WORDS[name][0]} ({'lower' if part < NEAR_END else 'upper'} end)"
        for name, axis in study.space.items()
        if not NEAR_END <= (part := _part(trial.hparams[name], axis)) <= 1 - NEAR_END
    ]
    if not ends:
        return ()
    where = joined(ends)
    return (f"The best value of {where} lies at the end of what was searched: a wider range may hold a better one.",)


def _confirmations(study: Study) -> Table:
    """The candidates, best mean first."""
    best = winner(study.confirmed)
    ordered = sorted(study.confirmed, key=lambda each: each.mean)
    tied = {best.trial, *tied_with(best, study.confirmed)}
    values = {trial.number: value for trial, value in completed(study.trials)}
    rows = [
        {
            "trial": each.trial,
            "loss": values[each.trial],
            "mean": None if math.isinf(each.mean) else each.mean,
            "standard_error": each.standard_error,
            "ties_with_best": each.trial in tied,
            **{f"loss_{index}": value for index, value in enumerate(each.losses, 1)},
        }
        for each in ordered
    ]
    return Table(
        name="confirmation",
        title="The best trials, trained again",
        note=f"The mean is over {counted(len(best.losses), 'further seed')}, which had no part in choosing these "
        "trials; the loss of the search did, and so tends to be too low for the trial that leads it. A trial ties with "
        "the best if it is worse by no more than the standard error of the difference, seed by seed.",
        frame=pd.DataFrame(rows),
        columns=("trial", "loss in the search", "mean", "standard error", "ties with the best"),
        rows=tuple(
            (
                f"{each.trial}",
                loss(values[each.trial]),
                loss(None if math.isinf(each.mean) else each.mean),
                "-" if each.standard_error is None else f"{each.standard_error:.4f}",
                "best" if each == best else "yes" if each.trial in tied else "no",
            )
            for each in ordered
        ),
    )


def _trials(study: Study) -> Table:
    ordered = sorted(completed(study.trials), key=lambda pair: (pair[1], pair[0].number))[:TRIALS_ON_PAGE]
    frame = pd.DataFrame(
        [
            {
                "trial": trial.number,
                "outcome": trial.outcome,
                "loss": trial.value,
                **{name: trial.hparams[name] for name in study.space},
                "last_step": None if trial.last is None else trial.last[0],
                "last_loss": None if trial.last is None else trial.last[1],
                "seconds": trial.seconds,
            }
            for trial in study.trials
        ]
    )
    return Table(
        name="trials",
        title="Best trials",
        note="Losses are validation losses in nats, after the whole budget. All trials are in trials.csv, those that "
        "were pruned with their last validation.",
        frame=frame,
        columns=("trial", "loss", *(HYPERPARAMETER_WORDS[name][0] for name in study.space)),
        rows=tuple(
            (f"{trial.number}", loss(value), *(f"{trial.hparams[name]:.4g}" for name in study.space))
            for trial, value in ordered
        ),
    )


WEDGES = "Wedges at the top are trials above the axis."


@register_figure(TUNE)
def history(study: Study) -> Picture:
    """How the best loss fell."""
    words = (
        "The loss of every trial that ran to its end, and the best so far. Marks at the bottom are trials that "
        f"were pruned or diverged. {WEDGES}"
    )
    return Picture("history", words, draw_history(study.trials, on_target=study.on_target))


@register_figure(TUNE)
def slices(study: Study) -> Picture:
    """Loss against each hyperparameter."""
    words = (
        "Loss against each hyperparameter. The star is the best trial. Grey points were pruned, and are drawn at "
        f"their last loss, which a longer training would have lowered. {WEDGES}"
    )
    return Picture(
        "slices",
        words,
        draw_slices(study.trials, {name: axis.log for name, axis in study.space.items()}, study.best[0]),
    )


def _confirmation_time(study: Study) -> str:
    if not study.confirmed:
        return ""
    trainings = sum(len(each.losses) for each in study.confirmed)
    return f", {duration(study.confirmation_seconds)} of {counted(trainings, 'training')} that confirm the best"


def provenance(study: Study) -> Provenance:
    """How a search was made."""
    counts = Counter(trial.outcome for trial in study.trials)
    seconds = sum(trial.seconds or 0.0 for trial in study.trials)
    ended = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("complete", "pruned", "diverged"))
    facts = {
        "Trials": f"{len(study.trials)} of {study.planned} planned: {ended}",
        "Time": f"{duration(seconds)} of all trials together" + _confirmation_time(study),
        **optimization(study.proxy),
        **settings([study.proxy]),
    }
    # the proxy of a search holds what the search began with, not what it found
    facts["Base hyperparameters"] = f"{facts['Base hyperparameters']} (the defaults)"
    return Provenance(
        name=study.name,
        question=f"Which base hyperparameters train the {'target itself' if study.on_target else 'dense proxy'} best?",
        expected="",
        command=study.command,
        again="",
        facts=tuple(facts.items()),
        files=("tuned.yaml",),
        kind="search",
        cost=cost(len(study.trials), seconds + study.confirmation_seconds, "trial"),
        go_on=study.go_on,
    )
