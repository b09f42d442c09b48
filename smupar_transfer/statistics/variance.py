"""Noise from few seeds: variances that cells of a sweep share, and Student's t."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, polygamma, stdtrit

from smupar_transfer.statistics.cell import Floats

CONFIDENCE = 0.95


def moderate(variances: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    """Variances drawn towards what the cells of a sweep have in common, so that three seeds say more than two can.

    Empirical Bayes with a scaled inverse chi-squared prior, fitted by the moments of log variances: Smyth (2004),
    "Linear models and empirical Bayes methods", section 6.2. Cells that differ no more than chance makes them share one
    variance; cells that differ wildly keep their own.

    Args:
        variances: of each cell, positive, (cells,).
        freedom: degrees of freedom behind each, at least 1, (cells,).

    Returns:
        moderated variances and their degrees of freedom, never more than all cells have together.
    """
    if len(variances) < 3:
        return variances, freedom
    logs = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedom / 2).mean())
    most = freedom.sum() - freedom
    if excess <= 0:
        prior, common = most, np.full(len(logs), np.exp(logs.mean()))
    else:
        half = _inverse_trigamma(excess)
        prior = np.minimum(2 * half, most)
        common = np.full(len(logs), np.exp(logs.mean() + digamma(half) - np.log(half)))
    return (prior * common + freedom * variances) / (prior + freedom), prior + freedom


def _inverse_trigamma(value: float) -> float:
    """By Newton's method on the reciprocal, which converges from below for every start (Smyth 2004, appendix)."""
    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, found))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, found))
        found += step
        if -step < 1e-8 * found:
            break
    return found


def student(freedom: float, comparisons: int = 1) -> float:
    """Half width, in standard errors, of the two-sided 95 % interval, for so many comparisons at once."""
    return float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / 2 / comparisons))


def draws(standard_errors: Floats, freedom: Floats, count: int = 2000) -> Floats:
    """Errors of independent estimates as Student's t has them, (count, estimates); the same at every call."""
    random = np.random.default_rng(0)
    scale = np.sqrt(freedom / random.chisquare(freedom, size=(count, len(freedom))))
    return np.asarray(random.standard_normal((count, len(freedom))) * scale * standard_errors)
