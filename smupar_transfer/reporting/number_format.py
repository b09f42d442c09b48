"""Numbers as people read them in tables and sentences."""

from __future__ import annotations

import math


def fixed(value: float, digits: int) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def signed(value: float, digits: int) -> str:
    """A number with its sign, or a dash where there is none; what rounds to nothing has no sign."""
    if not math.isfinite(value):
        return "-"
    shown = f"{value:+.{digits}f}"
    # read back: whether it is zero is decided by the digits that are shown
    return shown[1:] if float(shown) == 0 else shown


def percent(value: float, digits: int = 2) -> str:
    """A percentage, that the run was lost, or a dash where there is no number."""
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f} %" if math.isfinite(value) else "diverged"


def least(known: bool, words: str) -> str:
    """A number as words, or at least that unless it is ``known``."""
    return words if known else f"≥ {words}"


def significant(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, or a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def loss(value: float | None) -> str:
    """A loss in nats, that the run was lost (which records write as None), or a dash where there is no number."""
    if value is None:
        return "diverged"
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if math.isfinite(value) else "diverged"


def span(low: float, high: float, digits: int = 2) -> str:
    """An interval, which may have no end, or a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return "-"
    return f"{_end(low, digits)} to {_end(high, digits)}"


def _end(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def bracketed(low: float, high: float, digits: int = 2, unit: str = "") -> str:
    """An interval within a sentence, with a space before it, or nothing where there is none."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" [{_end(low, digits)}, {_end(high, digits)}{unit}]"


def with_error(value: float, error: float, digits: int = 4) -> str:
    """A number and its standard error, which one seed does not have."""
    return fixed(value, digits) + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")


def duration(seconds: float, hour_digits: int = 2) -> str:
    """A time for people, in the unit that suits it; hours have ``hour_digits`` digits after the point."""
    # one and a half of a unit and less is said in the smaller one: 75 s, not 1.2 min
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.{hour_digits}f} h"


def joined(items: list[str]) -> str:
    """A list as it is said."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""
