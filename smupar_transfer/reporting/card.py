"""What a page says about itself, for the list of all results."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path

from smupar_transfer.records import regular

CARD = "smupar-result"
"""Name of the ``meta`` element that holds a card."""

HEAD = 65_536
"""Characters from the beginning of a page within which its card stands."""
TONES = {"holds": "good", "does not hold": "bad", "diverged": "bad"}
"""How a verdict looks; others look neutral."""


@dataclass(frozen=True)
class Card:
    """One result in a few words.

    Attributes:
        kind: What made it, such as "sweep".
        question: The question that was asked.
        sentence: What came out.
        verdict: See ``Outcome.verdict``; may be empty.
        cost: Runs and time that it took; may be empty.
    """

    kind: str
    question: str
    sentence: str
    verdict: str
    cost: str

    @property
    def content(self) -> str:
        """As text that ``read_card`` understands."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @property
    def tone(self) -> str:
        """The look of the verdict: "good", "bad", or nothing."""
        return TONES.get(self.verdict, "")


class _Finder(HTMLParser):
    """Finds the content of a page's card."""

    def __init__(self) -> None:
        super().__init__()
        self.content: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        # the first alone: further down a page may quote one
        if tag == "meta" and attributes.get("name") == CARD and self.content is None:
            self.content = attributes.get("content")


def read_card(page: Path) -> Card | None:
    """The card of a page; None if it has none that can be understood.

    Raises:
        OSError: the page cannot be read.
    """
    with regular(page) as file:
        head = file.read(HEAD).decode("utf-8", errors="replace")
    finder = _Finder()
    finder.feed(head)
    with contextlib.suppress(ValueError):
        values = json.loads(finder.content or "")
        # pages of later versions may say more
        if isinstance(values, Mapping) and set(values) >= {"kind", "question", "sentence", "verdict", "cost"}:
            return Card(*(str(values[name]) for name in ("kind", "question", "sentence", "verdict", "cost")))
    return None
