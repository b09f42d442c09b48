"""What a person may have meant. Imports nothing heavy: the entry point needs it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OWN_NAME_HINT = "one of your own is registered by a module that is named with --plugin"
"""What to do about a name that a record or a word has and this process does not know."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The known word nearest to one that is not, as a question; ``otherwise`` if none is near."""
    close = close_words(word, known)
    return f"did you mean {close[0]}?" if close else otherwise


def close_words(word: str, known: Iterable[str]) -> list[str]:
    """The known word nearest to one that is not, whatever its capitals; none if none is near."""
    # reversed: of names that differ in capitals alone, the first is the one that stays
    names = {name.casefold(): name for name in reversed(list(known))}
    return [names[name] for name in difflib.get_close_matches(word.casefold(), list(names), n=1)]


def either(words: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
