"""Passwords of databases stay out of messages: these end in logs and in questions to other people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST_SECRET = 4
"""Characters of a password that is looked for anywhere; a shorter one would tear words apart."""

_CREDENTIALS = re.compile(r"(?<=\w):/{1,3}[^/:@\s]*:(.+)@")
"""``postgresql://user:PASSWORD@host``, up to the last @ of a word: passwords may hold any character."""
_LIKELY = re.compile(r"(?<=\w)(:/{1,3}[^/:@\s]*:)\S+@")
_PARAMETER = re.compile(
    r"(?:password|passwd|pwd|secret|(?<!bytes_per_)token)=([^&\s'\"]+?)(?=[&\s'\"]|:\s|$)", re.IGNORECASE
)
"""``?password=PASSWORD``, as PostgreSQL's drivers take it; ``data.bytes_per_token`` is a key."""


def secrets_of(words: Iterable[str]) -> list[str]:
    """Passwords in the words of a command line, as written and with their %-escapes read, longest first."""
    # both forms, as a driver may print the password that it has read and not what was typed
    written = [secret for word in words for secret in _secrets(word)]
    forms = {form for secret in written for form in (secret, unquote(secret), quote(secret, safe=""))}
    # longest first: a password that is a part of another one would leave the rest of that to be read
    return sorted(forms - {""}, key=len, reverse=True)


def _secrets(word: str) -> Iterator[str]:
    if "@" in word:  # without it, the search would look through the rest of the word at every colon
        yield from _CREDENTIALS.findall(word)
    yield from _PARAMETER.findall(word)


def masked(text: str, secrets: Iterable[str]) -> str:
    """A text in which stars stand for passwords: for those that are known, and for whatever looks like one."""
    for secret in secrets:
        # a password of one letter would be starred in every word; patterns below still find it in an address
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    text = _LIKELY.sub(rf"\1{MASK}@", text)
    return _PARAMETER.sub(lambda match: match[0].replace(match[1], MASK), text)
