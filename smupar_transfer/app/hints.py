"""What a person may have meant. Imports nothing heavy: the entry point needs it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The known word nearest to one that is not, as a question; ``otherwise`` if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]}?" if close else otherwise
