"""JSON of records and manifests, read without surprises."""

from __future__ import annotations

import json
import math
from typing import Any

from smupar_transfer.theory import shown

MAXIMUM_DIGITS = 4_000
"""Of a whole number; Python refuses to read or print those of a few more."""


def load_json(text: str) -> Any:
    """Plain data from JSON.

    Raises:
        ValueError: the text is no JSON, is nested too deeply, or has numbers that are none (NaN), too large for a float
            (1e999), or of more digits than Python reads; the message is one line.
    """
    # a short text has no such number, and reading digits without a function of ours is quicker
    parse_int = _whole if len(text) > MAXIMUM_DIGITS else None
    try:
        # Python's reader takes NaN and Infinity, which are no JSON and which records never hold: None stands for them
        return json.loads(text, parse_int=parse_int, parse_float=_finite, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(digits: str) -> int:
    if len(digits) > MAXIMUM_DIGITS:
        raise ValueError(f"it has a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    # float("1e999") is infinity, without an error
    if math.isinf(value):
        raise ValueError(f"{shown(digits)} is too large for a number")
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{shown(name)} is no number")
