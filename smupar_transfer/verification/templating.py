"""Pages from templates; what enters HTML is escaped, what enters Markdown is not."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_TEMPLATES = Environment(
    loader=PackageLoader("smupar_transfer.verification"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    keep_trailing_newline=True,
)


def render(template: str, **values: Any) -> str:
    """A template of ``templates/``, filled in; a value that it uses and does not get is an error."""
    return _TEMPLATES.get_template(template).render(**values)
