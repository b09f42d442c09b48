"""Words of anybody as Markdown that shows them as they are: no tags, links, code, tables or headings of their own.

What has a meaning in CommonMark or on GitHub (https://github.github.com/gfm) is escaped; brackets, which intervals are
full of, only where they could become a link.
"""

from __future__ import annotations

import re

_ENTITY = re.compile(r"&(?=#?\w+;)")
_SPECIAL = re.compile(r"[\\`*~|$]")  # GitHub reads mathematics between dollar signs
_OUTER_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # one within a word begins no emphasis
_LINK = re.compile(r"\](?=[(\[:])")
_BLOCK = re.compile(r"(?=#+(?:\s|$)|[-+=]+(?:\s|$))")
_NUMBER = re.compile(r"(\d+)(?=[.)](?:\s|$))")  # the beginning of a numbered list


def plain(text: object) -> str:
    """Words for the inside of a line, such as an entry of a table; line breaks become blanks."""
    line = " ".join(str(text).split())
    # first, as backslashes are among these: those that come later are escapes and stay
    line = _SPECIAL.sub(r"\\\g<0>", line)
    line = _OUTER_UNDERSCORE.sub(r"\\_", line)
    line = _LINK.sub(r"\\]", line)
    # the ampersand before the signs, whose own entities have one
    return _ENTITY.sub("&amp;", line).replace("<", "&lt;").replace(">", "&gt;")


def paragraph(text: object) -> str:
    """Words that begin a line: they start no heading, list or rule either."""
    line = plain(text)
    return "\\" + line if _BLOCK.match(line) else _NUMBER.sub(r"\1\\", line, count=1) if _NUMBER.match(line) else line


def label(text: object) -> str:
    """Words for the brackets of a link or an image: brackets of their own do not end them."""
    return re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", plain(text))


def code(text: object) -> str:
    """A command as code, whatever quotes it has: the fence is longer than any run of backticks inside."""
    line = " ".join(str(text).split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    # CommonMark takes one blank off either end, and would take a backtick there for part of the fence
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"
