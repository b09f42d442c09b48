"""The documentation site builds without a warning, and its pages load nothing from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("mkdocs", reason="the extra 'docs' is not installed")
pytest.importorskip("mkdocstrings", reason="the extra 'docs' is not installed")

from site_pages import public_packages, references, with_links_of_the_site

ROOT = Path(__file__).parents[1]
FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\s>\"]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as it is built where no proxy answers: whoever asks the network fails."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    environment = {**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if path.name != "report.html"]
    foreign = {str(path): FOREIGN.findall(path.read_text(encoding="utf-8")) for path in pages}
    assert len(foreign) > 40
    assert {name: links for name, links in foreign.items() if links} == {}


@pytest.mark.parametrize("package", public_packages())
def test_every_public_name_is_in_the_reference(site: Path, package: str) -> None:
    page = (site / "api" / f"{package}.html").read_text(encoding="utf-8")
    facade = importlib.import_module(f"smupar_transfer.{package}")
    offered = {name: getattr(facade, name) for name in facade.__all__}
    shown = set(re.findall(r"id=\"smupar_transfer\.\w+\.(\w+)\"", page))
    # constants and names of unions are shown where they have a docstring
    assert {name for name, what in offered.items() if inspect.isclass(what) or inspect.isfunction(what)} <= shown


def test_the_menu_has_every_public_package() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (menu,) = (part["API reference"] for part in yaml.safe_load(config)["nav"] if "API reference" in part)
    assert menu == list(references())


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("index.md", "[a](docs/data.md)", "[a](data.md)"),
        (
            "index.md",
            "![a](results/lr_by_sparsity/lr_by_sparsity.png)",
            "![a](results/lr_by_sparsity/lr_by_sparsity.png)",
        ),
        ("sweeps.md", "[a](../results/README.md#b)", "[a](results/README.md#b)"),
        ("results/README.md", "[a](../docs/data.md)", "[a](../data.md)"),
        ("decisions/001-data-flows-one-way.md", "[a](../architecture.md)", "[a](../architecture.md)"),
        ("index.md", "[a](https://arxiv.org/abs/2405.15743)", "[a](https://arxiv.org/abs/2405.15743)"),
        ("contributing.md", "[a](README.md)", "[a](index.md)"),
    ],
)
def test_links_lead_where_they_lead_in_the_repository(page: str, text: str, expected: str) -> None:
    assert with_links_of_the_site(text, page) == expected
