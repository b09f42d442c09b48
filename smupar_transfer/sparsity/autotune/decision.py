"""The decision alone, from timings."""

from __future__ import annotations

from collections.abc import Mapping

DENSE = "dense"
"""What computes a full mask; no backend that can be asked for."""

MARGIN = 0.03
"""Part of the time of ``masked`` that a rival must save: less than that is noise."""


def fastest(seconds: Mapping[str, float]) -> str:
    """The backend to compute with: the fastest if it saves more than ``MARGIN`` of what ``masked`` takes, else that.

    Args:
        seconds: The seconds of a step under each backend that was measured, ``masked`` among them; or under ``dense``
            alone.

    Raises:
        KeyError: rivals, but no ``masked``.
    """
    if set(seconds) == {DENSE}:
        return DENSE
    best = min(seconds, key=lambda name: seconds[name])
    return best if seconds[best] < (1 - MARGIN) * seconds["masked"] else "masked"
