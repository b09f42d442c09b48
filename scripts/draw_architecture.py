"""Draws the rooms of the package, as pyproject.toml's import contract orders them, into docs/architecture.md.

Without a word it writes the picture and the page; with ``--check`` it writes nothing, and the exit code is 1 where they
are not what it would write.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "images" / "architecture.svg"
START, END = "<!-- drawn by scripts/draw_architecture.py -->", "<!-- end of what is drawn -->"
PACKAGE = "smupar_transfer"
BOX_WIDTH, BOX_HEIGHT, GAP, ROW, MARGIN = 170, 44, 24, 82, 16
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@dataclass(frozen=True)
class Room:
    """A package of the contract: its Python files, their lines of code, and imports from other rooms by name."""

    name: str
    files: int
    lines: int
    imports: Counter[str]


def rows() -> list[list[str]]:
    """Names of rooms, a list a row of the contract, from the top."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [[name.strip() for name in row.split("|")] for row in contract["layers"]]


def _docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank lines, no comments, no docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    held = {line for token in tokens if token.type not in NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return held - _docstring_lines(ast.parse(source))


def about(lines: int) -> str:
    """A number of lines to two digits, so that the page does not change with every change of the code."""
    step = 10 ** max(len(str(lines)) - 2, 0)
    return f"{round(lines / step) * step:,}"


def imported_rooms(source: str) -> set[str]:
    """Names of the rooms that a module imports from, also within functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}


def read_room(name: str, rooms: set[str]) -> Room:
    """A room as its files are now; imports are counted in files that have them."""
    sources = [path.read_text(encoding="utf-8") for path in sorted((ROOT / PACKAGE / name).rglob("*.py"))]
    imports = Counter(other for source in sources for other in imported_rooms(source) & rooms - {name})
    return Room(name, len(sources), sum(len(code_lines(source)) for source in sources), imports)


def _reached(rooms: dict[str, Room], start: str) -> set[str]:
    direct = set(rooms[start].imports)
    return direct.union(*(_reached(rooms, name) for name in direct))


def arrows(rooms: dict[str, Room]) -> list[tuple[str, str]]:
    """Imports between rooms that no others imply, as (from, to)."""
    drawn = []
    for name, room in rooms.items():
        implied: set[str] = set().union(*(_reached(rooms, other) for other in room.imports))
        drawn += [(name, other) for other in rooms if other in room.imports and other not in implied]
    return drawn


def _places(order: list[list[str]], middle: float) -> dict[str, tuple[float, float]]:
    """Upper left corners of the boxes."""
    places: dict[str, tuple[float, float]] = {}
    for height, row in enumerate(order):
        left = middle - (len(row) * (BOX_WIDTH + GAP) - GAP) / 2
        places.update({name: (left + i * (BOX_WIDTH + GAP), MARGIN + height * ROW) for i, name in enumerate(row)})
    return places


def _arrow(start: tuple[float, float], end: tuple[float, float], middle: float, row: set[float]) -> str:
    """Straight to the next row; to rows below that on the side of the picture's middle where it starts or else ends.

    Args:
        start: The corner of the box that imports.
        end: The corner of the box that is imported.
        middle: The picture's middle.
        row: The left edges of all boxes in the row of ``end``. A box between others is reached from above.
    """
    skipped = round((end[1] - start[1]) / ROW) - 1
    top = f"{end[0] + BOX_WIDTH / 2:g} {end[1] - 3:g}"
    if skipped == 0:
        return f'<path d="M {start[0] + BOX_WIDTH / 2:g} {start[1] + BOX_HEIGHT:g} L {top}"/>'
    towards = next((x - middle for x in (start[0] + BOX_WIDTH / 2, end[0] + BOX_WIDTH / 2) if x != middle), 1.0)
    side = -1 if towards < 0 else 1
    outermost = max if side > 0 else min
    edge = BOX_WIDTH if side > 0 else 0
    # what leaves a box starts below what arrives at it
    x, y, to_x, to_y = start[0] + edge, start[1] + BOX_HEIGHT * 0.7, end[0] + edge, end[1] + BOX_HEIGHT * 0.3
    out = outermost(x, to_x) + side * (60 + 36 * skipped)
    if outermost(row) != end[0]:
        lane, turn = end[1] - (ROW - BOX_HEIGHT) / 2, end[0] + BOX_WIDTH / 2 + side * 30
        along = f"{outermost(row) + edge:g} {lane:g} L {turn:g} {lane:g} Q {turn - side * 30:g} {lane:g} {top}"
        return f'<path d="M {x:g} {y:g} C {out:g} {y:g} {out:g} {lane:g} {along}"/>'
    return f'<path d="M {x:g} {y:g} C {out:g} {y:g} {out:g} {to_y:g} {to_x + side * 3:g} {to_y:g}"/>'


def picture(order: list[list[str]], rooms: dict[str, Room]) -> str:
    """The rooms as boxes and their imports as arrows, in SVG."""
    width = max(map(len, order)) * (BOX_WIDTH + GAP) + 440
    height = 2 * MARGIN + (len(order) - 1) * ROW + BOX_HEIGHT
    places = _places(order, width / 2)
    boxes = []
    for name, (x, y) in places.items():
        middle, room = x + BOX_WIDTH / 2, rooms[name]
        counts = f"{room.files} files, {about(room.lines)} lines"
        boxes += [
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>',
            f'<text x="{middle:g}" y="{y + 19:g}" font-weight="bold">{name}</text>',
            f'<text x="{middle:g}" y="{y + 36:g}" font-size="12">{counts}</text>',
        ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
            ' font-family="sans-serif" font-size="15" text-anchor="middle">',
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M 0 0 L 8 4 L 0 8 z" fill="#555555"/></marker>',
            f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
            '<g fill="none" stroke="#777777" stroke-width="1.3" marker-end="url(#tip)">',
            *(
                _arrow(places[start], places[end], width / 2, {x for x, y in places.values() if y == places[end][1]})
                for start, end in arrows(rooms)
            ),
            "</g>",
            '<g fill="#eef3fb" stroke="#33508a">',
            *(box for box in boxes if box.startswith("<rect")),
            "</g>",
            *(box for box in boxes if box.startswith("<text")),
            "</svg>\n",
        ]
    )


def table(rooms: dict[str, Room]) -> str:
    """A row a room: its files and lines, and how many of its files import from each other room."""
    lines = ["| room | files | code lines, about | imports from (in how many files) |", "|---|--:|--:|---|"]
    for room in rooms.values():
        used = ", ".join(f"{name} ({room.imports[name]})" for name in rooms if name in room.imports) or "nothing"
        lines.append(f"| `{room.name}` | {room.files} | {about(room.lines)} | {used} |")
    return "\n".join(lines)


def drawn(page: str) -> dict[Path, str]:
    """What the files must hold, where ``page`` is what is in the page now."""
    order = rows()
    names = {name for row in order for name in row}
    rooms = {name: read_room(name, names) for row in order for name in row}
    before, _, rest = page.partition(START)
    _, marked, after = rest.partition(END)
    if not marked:
        raise SystemExit(f"{PAGE.name} lacks the markers {START!r} and {END!r}")
    image = f"![The rooms and which imports from which](images/{PICTURE.name})"
    return {
        PAGE: f"{before}{START}\n\n{image}\n\n{table(rooms)}\n\n{END}{after}",
        PICTURE: picture(order, rooms),
    }


def stale() -> dict[Path, str]:
    """Files that are not what they must be, with what they must be."""
    wanted = drawn(PAGE.read_text(encoding="utf-8"))
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text}


def main(words: list[str]) -> int:
    """Write the files, or with ``--check`` say which of them are stale."""
    for path, text in stale().items():
        print(f"{'stale' if words == ['--check'] else 'wrote'}: {path.relative_to(ROOT)}")
        if words != ["--check"]:
            path.write_text(text, encoding="utf-8")
    return 1 if words == ["--check"] and stale() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
