"""Questions and figures by the kind of result that they are about; modules of one's own may add figures."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from smupar_transfer.records.names import require_name
from smupar_transfer.reporting.findings import CheckFindings, Findings
from smupar_transfer.reporting.outcome import Outcome, Picture
from smupar_transfer.theory import InputError, did_you_mean

Question = Callable[[Any], Outcome]
"""Makes an outcome, without its pictures, of ``Findings`` or ``CheckFindings``."""
FigureMaker = Callable[[Any], Picture | None]
"""Makes a picture of what was found; None where there is nothing to show."""
Made = TypeVar("Made", bound=Callable[..., Any])

TRAIN, TUNE = "train", "tune"
"""Kinds of results that are no sweeps; their figures get a ``RunRecord`` and a ``study.Study``."""
PACKAGES = ("smupar_transfer.reporting.questions", "smupar_transfer.reporting.figures")
"""Packages all of whose modules are imported for what they register; pictures stand in this order on a page."""

_QUESTIONS: dict[str, Question] = {}
_FIGURES: dict[tuple[str, str, str], FigureMaker] = {}
"""Kind, module and name of every figure, so that a module which is imported again replaces its own."""


def question(kind: str) -> Callable[[Made], Made]:
    """Decorate the function that answers a kind of question, as the ``kind`` of a sweep file names it."""

    def registered(answer: Made) -> Made:
        _QUESTIONS[kind] = answer
        return answer

    return registered


def register_figure(kind: str) -> Callable[[Made], Made]:
    """Decorate a function that draws a figure, which every result of a kind then has on its page.

    The function gets ``Findings`` of a sweep, ``CheckFindings`` of a coordinate check, the ``RunRecord`` of a trained
    network, or the ``Study`` of a search. It returns a ``Picture``, or None where there is nothing to show.

    Args:
        kind: The kind of result: that of a sweep (``stability``, ``contours``, ``gain``, ``proxy_size``, ``search``),
            ``coordinates``, ``train`` or ``tune``.
    """

    def registered(draw: Made) -> Made:
        _FIGURES[kind, draw.__module__, draw.__qualname__] = draw
        return draw

    return registered


def kinds() -> tuple[str, ...]:
    """All kinds of results that figures can be about."""
    _load()
    return (*_QUESTIONS, TRAIN, TUNE)


def answered(findings: Findings | CheckFindings) -> Outcome:
    """What finished runs say, with all figures of their kind."""
    _load()
    kind = findings.manifest.kind
    return replace(_QUESTIONS[kind](findings), pictures=pictures_of(kind, findings))


def pictures_of(kind: str, result: object) -> tuple[Picture, ...]:
    """The figures of one result: those of the package first, then those of modules of a person's own.

    Args:
        kind: The kind of the result.
        result: What figures of this kind get; see ``register_figure``.

    Raises:
        InputError: a figure of a person's own cannot be drawn, is about a kind that there is not, has a name that is no
            file's, or that of another one.
    """
    known = kinds()
    for about, module, name in _FIGURES:
        if about not in known:
            hint = did_you_mean(about, known, f"there are {', '.join(known)}")
            raise InputError("register_figure", about, f"of {module}.{name} is no kind of result", hint)
    own = [(_rank(key[1]), key, draw) for key, draw in _FIGURES.items() if key[0] == kind]
    pictures: dict[str, Picture] = {}
    for _, (_, module, name), draw in sorted(own, key=lambda entry: entry[0]):  # stable: in the order of registration
        picture = _drawn(f"{module}.{name}", draw, result)
        if picture is None:
            continue
        if _rank(module) == len(PACKAGES):  # those of the package have the name of the sweep, which may be any file's
            require_name("register_figure", picture.name)
        if picture.name in pictures:
            problem = f"of {module}.{name} is the name of another figure of this result"
            raise InputError("register_figure", picture.name, problem, "choose another name")
        pictures[picture.name] = picture
    return tuple(pictures.values())


def _rank(module: str) -> int:
    """Where a module's figures stand: plugins are imported first, and come last."""
    package = module.rpartition(".")[0]
    if package in PACKAGES:
        return PACKAGES.index(package)
    return 0 if module.startswith("smupar_transfer.") else len(PACKAGES)


def _drawn(name: str, draw: FigureMaker, result: object) -> Picture | None:
    """A figure; what goes wrong in one of a person's own is told as theirs, in a line."""
    try:
        picture: object = draw(result)  # a function of somebody's own may return anything
    except Exception as error:
        if _rank(draw.__module__) < len(PACKAGES) or isinstance(error, InputError):
            raise
        problem = f"cannot be drawn: {type(error).__name__}: {error}"
        raise InputError("register_figure", name, problem, "mend it, or leave --plugin out") from error
    if picture is not None and not isinstance(picture, Picture):
        problem = f"returns a {type(picture).__name__}"
        raise InputError("register_figure", name, problem, "return a smupar_transfer.Picture, or None")
    return picture


def _load() -> None:
    """Import every module that registers something; those that are there already cost nothing."""
    # not at the top: they import this module themselves
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
