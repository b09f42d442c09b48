"""Noise from few seeds: variances that cells of a sweep share, and Student's t."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, polygamma, stdtrit

from smupar_transfer.statistics.cell import Floats

CONFIDENCE = 0.95
"""Share of the cases in which an interval is to hold the truth."""


def moderate(variances: Floats, degrees_of_freedom: Floats) -> tuple[Floats, Floats]:
    """Variances drawn towards what the cells of a sweep have in common, so that three seeds say more than two can.

    Empirical Bayes with a scaled inverse chi-squared prior, fitted by the moments of log variances: Smyth (2004),
    "Linear models and empirical Bayes methods", section 6.2. Cells that differ no more than chance makes them share one
    variance; cells that differ wildly keep their own.

    Args:
        variances: The variance of each cell, positive, (cells,).
        degrees_of_freedom: The degrees of freedom behind each, at least 1, (cells,).

    Returns:
        The moderated variances and their degrees of freedom, never more than all cells have together.
    """
    # two variances cannot tell a spread of their own from chance: there is nothing to learn a prior from
    if len(variances) < 3:
        return variances, degrees_of_freedom
    # the log of a chi-squared variance is too small by digamma(d / 2) - log(d / 2) on average; taken out, cells of few
    # seeds do not pass for quiet ones. Chance alone spreads what is left by trigamma(d / 2): only what is more than
    # that is a difference between cells
    logs = np.log(variances) - digamma(degrees_of_freedom / 2) + np.log(degrees_of_freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, degrees_of_freedom / 2).mean())
    # what is shared is known as well as all other cells together know it, and never better
    most = degrees_of_freedom.sum() - degrees_of_freedom
    if excess <= 0:
        prior, common = most, np.full(len(logs), np.exp(logs.mean()))
    else:
        half = _inverse_trigamma(excess)
        prior = np.minimum(2 * half, most)
        common = np.full(len(logs), np.exp(logs.mean() + digamma(half) - np.log(half)))
    return (prior * common + degrees_of_freedom * variances) / (prior + degrees_of_freedom), prior + degrees_of_freedom


def _inverse_trigamma(value: float) -> float:
    """By Newton's method on the reciprocal, which converges from below for every start (Smyth 2004, appendix)."""
    root = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, root))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, root))
        root += step
        if -step < 1e-8 * root:
            break
    return root


def student(degrees_of_freedom: float, comparisons: int = 1) -> float:
    """Half width, in standard errors, of the two-sided 95 % interval, for so many comparisons at once."""
    # Bonferroni: each of the comparisons gets its part of the error, so that they hold all at once
    return float(stdtrit(degrees_of_freedom, 1 - (1 - CONFIDENCE) / 2 / comparisons))


def draws(standard_errors: Floats, degrees_of_freedom: Floats, count: int = 2000) -> Floats:
    """Errors of independent estimates as Student's t has them, (count, estimates); the same at every call."""
    random = np.random.default_rng(0)  # the same records give the same page
    scale = np.sqrt(degrees_of_freedom / random.chisquare(degrees_of_freedom, size=(count, len(degrees_of_freedom))))
    return np.asarray(random.standard_normal((count, len(degrees_of_freedom))) * scale * standard_errors)
