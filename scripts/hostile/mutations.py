"""Mutations of files, each a function of a seeded source of randomness: bytes, lines, words and values are changed."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

import yaml

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{index}: &a{index} [{', '.join([f'*a{index - 1}'] * 9)}]" for index in range(1, 10)]
)
"""Ten lines that stand for 9^10 values."""
WORDS = (
    "2024-13-45", "!!int x", "!!float x", "!!bool maybe", "!!timestamp x", "!!binary x", "!!python/name:os.system",
    "!!python/object/apply:os.system ['touch executed']", "!!python/object/new:subprocess.Popen [[touch, executed]]",
    "9" * 5000, "-1" + "0" * 30, "1e999", "1.0e+400", ".nan", "-.inf", "NaN", "Infinity", "null", "~", "{}", "[]",
    "[" * 2000, "[" * 2000 + "]" * 2000, '{"a":' * 5000, "x" * 5000, '"a\\nb\\rc\\u2028d"', "*a9", "&a [*a]", "''",
    "${oc.env:HOME}", "${oc.decode:x}", "../../outside", "/tmp/outside", "true", "0x7f", "1_000", "-0",
    "\u202e", "\x1b[2J",
)  # fmt: skip
"""What is written in the place of a value of a text file."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, 10**30, -(10**30), 10**4000, 0.0, -0.0, 0.5, -1.5, 1e300, 1e-320,
    float("nan"), float("inf"), "", "x", "x" * 5000, "a\nb", "\0", "../../outside", "/tmp/outside", "é\u2028", [], {},
    [[]], {"a": 1}, [1, "x", None], ["x" * 300] * 300, {str(index): index for index in range(300)},
)  # fmt: skip
"""What takes the place of a value of parsed data."""

Mutation = Callable[[bytes, random.Random], bytes]


def _span(content: bytes, source: random.Random, longest: int = 64) -> tuple[int, int]:
    start = source.randrange(len(content) + 1)
    return start, min(len(content), start + source.randint(1, longest))


def flipped(content: bytes, source: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(source.choice((1, 1, 2, 8)) if changed else 0):
        changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
    return bytes(changed)


def cut(content: bytes, source: random.Random) -> bytes:
    return content[: source.randrange(len(content) + 1)]


def without_a_part(content: bytes, source: random.Random) -> bytes:
    start, end = _span(content, source)
    return content[:start] + content[end:]


def with_a_part_twice(content: bytes, source: random.Random) -> bytes:
    start, end = _span(content, source, 512)
    return content[:end] + content[start:]


def with_noise(content: bytes, source: random.Random) -> bytes:
    start, end = _span(content, source)
    noise = source.choice((source.randbytes(end - start), b"\0" * 64, b"\xff" * 8, b"\r\n", b"\xef\xbb\xbf"))
    return content[:start] + noise + content[end:]


def lines_changed(content: bytes, source: random.Random) -> bytes:
    lines = content.split(b"\n")
    first, second = source.randrange(len(lines)), source.randrange(len(lines))
    if source.random() < 0.5:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines.insert(first, lines[second])
    return b"\n".join(lines)


def word_changed(content: bytes, source: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    places = list(re.finditer(r"(?<=[:\[,] )[^\s,\]}]+", text)) or list(re.finditer(r"\w+", text))
    if not places:
        return source.choice(WORDS).encode()
    place = source.choice(places)
    return f"{text[: place.start()]}{source.choice(WORDS)}{text[place.end() :]}".encode()


def digits_changed(content: bytes, source: random.Random) -> bytes:
    places = list(re.finditer(rb"\d+", content))
    if not places:
        return content
    place = source.choice(places)
    number = source.choice(
        (b"0", b"-1", b"1" + b"0" * source.randint(1, 40), b"%d" % source.randrange(10**6), b"9e999")
    )
    return content[: place.start()] + number + content[place.end() :]


def with_a_bomb(content: bytes, source: random.Random) -> bytes:
    """Aliases in front, and one in the place of a value: read by YAML alone."""
    changed = content.decode("utf-8", "replace")
    places = list(re.finditer(r"(?m)(?<=: ).+$", changed))
    if places:
        place = source.choice(places)
        changed = f"{changed[: place.start()]}*a{source.randrange(10)}{changed[place.end() :]}"
    return f"{BOMB}\n{changed}".encode()


def value_changed(content: bytes, source: random.Random) -> bytes:
    """Another value, another key, one more or one less, somewhere in what the file says."""
    head, line, tail = b"", content, b""
    if content.startswith(b"{") and content.count(b"\n{"):  # an object a line
        lines = content.split(b"\n")
        index = source.randrange(max(1, len(lines) - 1))
        head, line, tail = b"\n".join([*lines[:index], b""]), lines[index], b"\n".join([b"", *lines[index + 1 :]])
    is_json = line.lstrip().startswith(b"{")
    try:
        data = json.loads(line) if is_json else yaml.safe_load(line)
    except Exception:  # changed before: by whatever cannot be read, it is changed in bytes
        return flipped(content, source)
    _change(data, source)
    text = json.dumps(data) if is_json else yaml.safe_dump(data, sort_keys=False)
    return head + text.encode() + tail


def _change(data: Any, source: random.Random) -> None:
    while isinstance(data, dict | list) and data:
        key = source.choice(list(data)) if isinstance(data, dict) else source.randrange(len(data))
        inner = data[key]
        if isinstance(inner, dict | list) and inner and source.random() < 0.8:
            data = inner
            continue
        _replace(data, key, source)
        return


def _replace(data: Any, key: Any, source: random.Random) -> None:
    way = source.randrange(6)
    if way == 0:
        del data[key]
    elif way == 1 and isinstance(data, dict):
        data[source.choice(("x", "n" * 500, "a\nb", "schema", "__class__"))] = copy.deepcopy(source.choice(VALUES))
    elif way == 2 and isinstance(data[key], int | float) and not isinstance(data[key], bool):
        data[key] = data[key] * source.choice((-1, 0, 2, 0.5, 1e6, 10**9))
    else:
        data[key] = copy.deepcopy(source.choice(VALUES))


BYTES: tuple[Mutation, ...] = (flipped, cut, without_a_part, with_a_part_twice, with_noise)
TEXT: tuple[Mutation, ...] = (*BYTES, lines_changed, word_changed, digits_changed, *(3 * (value_changed,)))
YAML: tuple[Mutation, ...] = (*TEXT, with_a_bomb)
