"""Pages of the documentation site that do not lie under docs/, and links as the site needs them; a hook of mkdocs.yml.

The README becomes the start page. Guides and results that lie elsewhere in the repository become pages, too, and files
that a page links to are copied. One page for each public package is made of docstrings.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "smupar_transfer"
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples/index.md",
}
"""Pages outside of docs/ and results/: where they lie in the repository and on the site."""
LINK = re.compile(r"(\]\(<?|(?:src|href)=\")([^)\s>\"#]+)")
"""Where a link starts, and its path without an anchor."""


def public_packages() -> list[str]:
    """Names of the packages that say in ``__all__`` what they offer."""
    packages = []
    for path in sorted((ROOT / PACKAGE).glob("*/__init__.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        targets = [ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)]
        if "__all__" in targets:
            packages.append(path.parent.name)
    return packages


def references() -> dict[str, str]:
    """Address to content of a page for the library's face, and one for each public package: docstrings."""
    pages = {f"api/{name}.md": f"# {name}\n\n::: {PACKAGE}.{name}\n" for name in public_packages()}
    return {f"api/{PACKAGE}.md": f"# {PACKAGE}\n\n::: {PACKAGE}\n", **pages}


def site_path(path: str) -> str:
    """Where a file of the repository lies on the site."""
    return ELSEWHERE.get(path, path.removeprefix("docs/"))


def in_repository(address: str) -> str:
    """Where a page of the site lies in the repository."""
    backwards = {site: path for path, site in ELSEWHERE.items()}
    return backwards.get(address, address if address.startswith("results/") else f"docs/{address}")


def target(page: str, link: str) -> str | None:
    """The file of the repository that a link of a page leads to; None for addresses and for files that do not exist."""
    if re.match(r"[a-z][a-z0-9+.\-]*:", link):
        return None
    path = os.path.normpath(PurePosixPath(in_repository(page)).parent / link)
    return path if (ROOT / path).is_file() else None


def with_links_of_the_site(text: str, page: str) -> str:
    """The same text with links between files of the repository as links between files of the site."""

    def replaced(match: re.Match[str]) -> str:
        path = target(page, match[2])
        if path is None:
            return match[0]
        return match[1] + os.path.relpath(site_path(path), PurePosixPath(page).parent)

    return LINK.sub(replaced, text)


def _existing(path: str, config: MkDocsConfig) -> File:
    return File.generated(config, site_path(path), abs_src_path=str(ROOT / path))


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add what does not lie under docs/."""
    results = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "results").rglob("README.md"))]
    for path in [*ELSEWHERE, *results]:
        files.append(_existing(path, config))
    for address, content in references().items():
        files.append(File.generated(config, address, content=content))
    for page in list(files.documentation_pages()):
        for match in LINK.finditer(page.content_string):
            linked = target(page.src_uri, match[2])
            if linked is not None and site_path(linked) not in files.src_uris:
                files.append(_existing(linked, config))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links."""
    del config, files
    return with_links_of_the_site(markdown, page.file.src_uri)
