"""The project as a whole: static checks, sizes, the wheel, pins and links."""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tokenize
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from draw_architecture import code_lines

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "smupar_transfer"
SHIPPED = ("conf", "sweeps")
FILE_LINES, FUNCTION_LINES = 250, 40
FEWEST_COMMENTS = 3.5
"""Comments a hundred lines of code in every room; most have four or more."""

SOURCES = sorted(PACKAGE.rglob("*.py"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

Function = ast.FunctionDef | ast.AsyncFunctionDef
IMPORT_NAMES = {"pyyaml": "yaml", "scikit-learn": "sklearn", "hydra-core": "hydra"}


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruff", "check", "."], id="ruff check"),
        pytest.param(["ruff", "format", "--check", "."], id="ruff format"),
        pytest.param(["mypy"], id="mypy"),
        pytest.param(["lint-imports"], id="import-linter"),
    ],
)
def test_static_checks_pass(command: list[str]) -> None:
    program = Path(sysconfig.get_path("scripts")) / command[0]
    result = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_code_lines_are_counted_as_meant() -> None:
    source = '"""Docstring\nof two lines."""\n\nx = """text\n"""  # comment\n\n\n'
    source += 'def f():\n    """Say."""\n    # why\n    return (\n        x\n    )\n'
    assert code_lines(source) == {4, 5, 8, 11, 12, 13}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    lines = code_lines(source)
    assert len(lines) <= FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            length = len(lines & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
            assert length <= FUNCTION_LINES, node.name


def _comments_per_hundred(sources: Iterable[str]) -> float:
    """Comments, instructions to tools left out, for a hundred lines of code."""
    comments = lines = 0
    for source in sources:
        lines += len(code_lines(source))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        words = [token.string for token in tokens if token.type == tokenize.COMMENT]
        comments += sum(re.match(r"#\s*(type:|noqa)", word) is None for word in words)
    return 100 * comments / lines


def test_comments_are_counted_as_meant() -> None:
    source = '"""A # in a docstring."""\n# why\nx = 1  # how much\ny = "# no comment"\nz = x  # type: ignore[misc]\n'
    assert _comments_per_hundred([source, "a = 1\n"]) == pytest.approx(50)


ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_gives_reasons(room: str) -> None:
    """Constants, tolerances and orders of operations need a reason on the line where a reader meets them."""
    sources = [path.read_text(encoding="utf-8") for path in SOURCES if path.is_relative_to(PACKAGE / room)]
    assert _comments_per_hundred(sources) >= FEWEST_COMMENTS


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("smupar_transfer", *SHIPPED):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


FACADES = [".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES if path.name == "__init__.py"]


@pytest.mark.parametrize("package", FACADES)
def test_no_module_is_hidden_by_a_function_of_its_name(package: str) -> None:
    """``import a.b as c`` would give the function, and so would tools that document a package."""
    facade = importlib.import_module(package)
    modules = {path.stem for path in SOURCES if ".".join(path.parent.relative_to(ROOT).parts) == package}
    hidden = {name for name in modules & set(vars(facade)) if not isinstance(getattr(facade, name), ModuleType)}
    assert hidden == set()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_the_wheel_holds_every_file_that_ships(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in SHIPPED:
        shipped = {f"smupar_transfer/shipped/{path.relative_to(ROOT).as_posix()}" for path in _files(ROOT / folder)}
        assert shipped
        assert shipped <= names
    assert {path.relative_to(ROOT).as_posix() for path in _files(PACKAGE)} <= names
    assert "smupar_transfer/py.typed" in names  # without it "Typing :: Typed" is not true
    strangers = {name for name in names if not name.startswith("smupar_transfer") or "__pycache__" in name}
    assert strangers == set()


def test_the_wheel_knows_its_command_and_its_dependencies(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        required = archive.read(metadata).decode()
        assert "smupar = smupar_transfer.app.main:main" in archive.read(entry_points).decode()
    for dependency in PROJECT["project"]["dependencies"]:
        assert f"Requires-Dist: {Requirement(dependency).name}" in required


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose Python sees the wheel's content and no checkout."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    installed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *installed])}


def _outside(environment: dict[str, str], folder: Path, program: str) -> str:
    """Standard output of a program; -S leaves out the .pth file through which the checkout is installed."""
    command = [sys.executable, "-S", "-c", program]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_commands_work_from_the_wheel(unpacked: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys, smupar_transfer\n"
        "from smupar_transfer.sweeps import shipped\n"
        "from smupar_transfer.app.main import main\n"
        f"assert {str(ROOT)!r} not in sys.path\n"
        f"assert not smupar_transfer.__file__.startswith({str(ROOT)!r})\n"
        "assert shipped.CONF.parent == shipped.SWEEPS.parent == shipped.PACKAGE / 'shipped'\n"
        "sys.exit(main(['explain', 'target.width=512', '--cfg', 'job']))\n"
    )
    config = yaml.safe_load(_outside(unpacked, tmp_path, program))
    assert config["target"]["width"] == 512
    assert config["format"] == "table"


def test_sweeps_and_search_spaces_are_found_in_the_wheel(unpacked: dict[str, str], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from smupar_transfer.app.main import main\n"
        "assert main(['sweep', 'lr_by_sparsity', '--cfg', 'job']) == 0\n"
        "print('---')\n"
        "sys.exit(main(['tune', 'tuning=with_weight_decay', '--cfg', 'job']))\n"
    )
    sweep, tune = _outside(unpacked, tmp_path, program).split("---")
    assert yaml.safe_load(sweep)["sweep"] == "lr_by_sparsity"
    assert "weight_decay" in yaml.safe_load(tune)["tuning"]["space"]


def _requirements() -> dict[str, Requirement]:
    """Everything that pyproject asks for, extras and build system included, by canonical name."""
    project = PROJECT["project"]
    lines = [*PROJECT["build-system"]["requires"], *project["dependencies"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    by_name = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    by_name.pop(canonicalize_name(project["name"]), None)
    return {str(name): requirement for name, requirement in by_name.items()}


def _pins() -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    pins = {}
    for line in filter(None, lines):
        assert re.fullmatch(r"[\w.\-]+==[\w.+!]+(\s*;.*)?", line), line
        name, _, version = line.partition(";")[0].strip().partition("==")
        pins[str(canonicalize_name(name))] = version
    return pins


@pytest.mark.parametrize("name", sorted(_requirements()))
def test_every_dependency_has_an_exact_pin_that_satisfies_it(name: str) -> None:
    pins = _pins()
    assert name in pins
    assert _requirements()[name].specifier.contains(pins[name], prereleases=True)


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    declared = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in _requirements()}
    known = declared | sys.stdlib_module_names | {"smupar_transfer"}
    undeclared = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            undeclared |= {name.partition(".")[0] for name in names} - known
    assert undeclared == set()


PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*/README.md")})


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE"])
def test_the_project_introduces_itself(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def _anchors(page: Path) -> set[str]:
    """Names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ +(.+?) *#*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(<?([^)\s>]+)>?(?: +\"[^\"]*\")?\)", text)
    links += re.findall(r"^\[[^\]]+\]: +(\S+)", text, re.MULTILINE)
    links += re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [link for link in links if not re.match(r"[a-z][a-z0-9+.\-]*:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for link in _links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link
