"""Figures inside a page: no file beside it is needed, and none of their bytes that nobody sees."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# CSS has 96 pixels an inch, and an inch has 72 points
PIXELS_A_POINT = 96 / 72
"""CSS pixels in a point."""
LEGIBLE = 9
"""CSS pixels that the letters of a figure have at least; a figure that finds less room is scrolled, not shrunk."""
_UNSEEN = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
"""What stands before the drawing itself, metadata and comments."""
_DIGITS = re.compile(r"(\d*[1-9]\d*\.\d\d)\d+")
"""Digits behind the second of a number from 1 on."""
_LETTERS = re.compile(r"scale\((0\.\d+) -\1\)")
"""How matplotlib draws a text of 100 times so many points."""
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"')
_KEPT = " !$'()*+,/:;=?@[]~"
"""Characters that mean nothing in a double-quoted attribute, in HTML or in a data URI."""


@dataclass(frozen=True)
class Image:
    """A figure inside a page.

    Attributes:
        caption: What it shows, in words.
        address: A data URI that may stand in double quotes as it is.
        width: CSS pixels at which text has the size that it was drawn for.
        height: CSS pixels at that width.
        least: The smallest width, in CSS pixels, at which its letters are legible.
    """

    caption: str
    address: str
    width: int
    height: int
    least: int


def embedded(path: Path, caption: str) -> Image:
    """The figure that was saved as ``path`` with suffixes .svg and .png, in whichever of the two is shorter."""
    drawing = path.with_name(f"{path.name}.svg").read_text(encoding="utf-8")
    pixels = path.with_name(f"{path.name}.png").read_bytes()
    vectors = f"data:image/svg+xml,{quote(slim(drawing), safe=_KEPT)}"
    size = _SIZE.search(drawing)
    width, height = (float(points) * PIXELS_A_POINT for points in size.groups()) if size else (0.0, 0.0)
    address = vectors
    if len(vectors) > 4 * len(pixels) / 3:  # base64 writes three bytes in four characters
        address = f"data:image/png;base64,{base64.b64encode(pixels).decode()}"
    smallest = min((100 * float(scale) for scale in _LETTERS.findall(drawing)), default=math.inf)
    # never larger than it was drawn, however small its letters are
    least = min(1.0, LEGIBLE / (smallest * PIXELS_A_POINT))
    return Image(caption, address, round(width), round(height), math.ceil(least * width))


def slim(drawing: str) -> str:
    """An SVG without comments, metadata and line breaks, and with coordinates to a hundredth of a point.

    Numbers below 1 keep all digits: they are scales, which multiply what is large.
    """
    shown = _DIGITS.sub(r"\1", _UNSEEN.sub("", drawing))
    shown = re.sub(r"\s+", " ", shown).replace("> <", "><").strip()
    return shown if "'" in shown else shown.replace('"', "'")  # three characters shorter in a page
