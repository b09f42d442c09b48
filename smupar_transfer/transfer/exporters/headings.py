"""The first lines of an exported file: where it comes from, what it was written against, what it cannot say."""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Sequence

from smupar_transfer.theory import one_line
from smupar_transfer.transfer.exporters.exported import Exported, Stack

COLUMNS = 118


def about(exported: Exported, stack: Stack) -> list[str]:
    """Where a file comes from and what it was written against, a sentence each."""
    package = importlib.import_module("smupar_transfer")  # its face offers rooms that are above this one
    return [
        f"Written by smupar_transfer {package.__version__} for {stack.title}.",
        f"{exported.table.name}, {exported.optimizer.name}: {exported.scale}. {stack.selects}",
        f"Written after the sources of {stack.format}; nothing was trained there with it.",
    ]


def heading(exported: Exported, stack: Stack, losses: Sequence[str]) -> str:
    """The first lines of a file, as comments that start with a hash."""
    lines = [*about(exported, stack), "Not said here, or said otherwise than by the recipe:"]
    # room for the hash and the space before a line
    wrapped = [part for line in lines for part in textwrap.wrap(one_line(line), COLUMNS - 2)]
    for loss in losses:
        wrapped += textwrap.wrap(
            one_line(loss), COLUMNS - 2, initial_indent="- ", subsequent_indent="  ", break_long_words=False
        )
    return "".join(f"# {line}\n" for line in wrapped)
