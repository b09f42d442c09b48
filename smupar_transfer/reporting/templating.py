"""Pages from templates; what comes from outside is escaped, in HTML by itself, in Markdown by the filters here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from smupar_transfer.reporting import markdown
from smupar_transfer.reporting.glossary import GLOSSARY


def address(path: str) -> str:
    """A relative path as a link, whatever characters it has."""
    return quote(path)


_TEMPLATES = Environment(
    loader=PackageLoader("smupar_transfer.reporting"),
    # a misspelt name is an error in a test, not a blank on a page
    undefined=StrictUndefined,
    # in Markdown other characters have a meaning: its templates call the filters below
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    # pages end with a line break, so that drawing them again changes no byte
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {
    "address": address,
    "plain": markdown.plain,
    "label": markdown.label,
    "paragraph": markdown.paragraph,
    "code": markdown.code,
}
_TEMPLATES.globals["glossary"] = GLOSSARY


def render(template: str, **values: Any) -> str:
    """A template of ``templates/``, filled in; a value that it uses and does not get is an error."""
    return _TEMPLATES.get_template(template).render(**values)
