"""What docstrings say of attributes reaches the reader: the parser of the API reference loses none of it."""

from __future__ import annotations

import logging

import griffe
import pytest

ROOMS = ("app", "kernels", "launchers", "records", "reporting", "sparsity", "statistics", "sweeps", "tuning")
SECTIONS = griffe.DocstringSectionParameters, griffe.DocstringSectionReturns, griffe.DocstringSectionYields


def load() -> griffe.Module:
    options: griffe.GoogleOptions = {
        "returns_multiple_items": False,
        "returns_named_value": False,
    }  # as mkdocs.yml has them
    package = griffe.load("smupar_transfer", docstring_parser="google", docstring_options=options)
    assert isinstance(package, griffe.Module)
    return package


def classes(parent: griffe.Object) -> list[griffe.Class]:
    """Every class of a package, those of its modules and those within classes, each once."""
    every_class: list[griffe.Class] = []
    for member in parent.members.values():
        if isinstance(member, griffe.Class):
            every_class.append(member)
        if isinstance(member, griffe.Class | griffe.Module):
            every_class += classes(member)
    return every_class


def documented(each: griffe.Class) -> list[griffe.DocstringAttribute]:
    """What the docstring of a class says of its attributes."""
    parsed = each.docstring.parsed if each.docstring else []
    return [
        attribute for part in parsed if isinstance(part, griffe.DocstringSectionAttributes) for attribute in part.value
    ]


def fields(each: griffe.Class) -> list[str]:
    """Fields of a dataclass, in their order."""
    members = [member for member in each.members.values() if isinstance(member, griffe.Attribute)]
    annotated = [member for member in members if member.annotation is not None and "property" not in member.labels]
    return [member.name for member in annotated if "ClassVar" not in str(member.annotation)]


CLASSES = [each for each in classes(load()) if documented(each)]
DATACLASSES = [each for each in CLASSES if "dataclass" in each.labels]


def test_there_are_classes() -> None:
    assert len(CLASSES) > 90
    assert len(DATACLASSES) > 90


@pytest.mark.parametrize("each", DATACLASSES, ids=lambda each: each.path)
def test_every_field_of_a_dataclass_is_documented_where_one_is(each: griffe.Class) -> None:
    assert [attribute.name for attribute in documented(each)] == fields(each)


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.path)
def test_what_is_said_of_an_attribute_is_a_sentence(each: griffe.Class) -> None:
    for attribute in documented(each):
        words = " ".join(attribute.description.split())
        assert words[:1].isupper(), attribute.name
        assert words.endswith((".", ".)")), attribute.name


def functions(parent: griffe.Object) -> list[griffe.Function]:
    """Every function and method of a package."""
    every_function: list[griffe.Function] = []
    for member in parent.members.values():
        if isinstance(member, griffe.Function):
            every_function.append(member)
        if isinstance(member, griffe.Class | griffe.Module):
            every_function += functions(member)
    return every_function


def said_of_arguments(each: griffe.Object) -> list[str]:
    """What a docstring says of arguments and of what is returned."""
    parsed = each.docstring.parsed if each.docstring else []
    sections = [part for part in parsed if isinstance(part, SECTIONS)]
    return [" ".join(item.description.split()) for part in sections for item in part.value]


@pytest.mark.parametrize("room", ROOMS)
def test_what_is_said_of_an_argument_is_a_sentence(room: str) -> None:
    """Guards against fragments such as "of the run", which name nothing."""
    package = load()[room]
    assert isinstance(package, griffe.Object)
    said = [words for each in [*functions(package), *classes(package)] for words in said_of_arguments(each)]
    assert said
    assert [words for words in said if not words[:1].isupper() or not words.endswith((".", ".)", "..."))] == []


def test_the_parser_understands_every_docstring(caplog: pytest.LogCaptureFixture) -> None:
    def read(parent: griffe.Object) -> None:
        for each in [parent, *parent.members.values()]:
            if isinstance(each, griffe.Object) and each.docstring:
                assert each.docstring.parsed
            if isinstance(each, griffe.Class | griffe.Module) and each is not parent:
                read(each)

    with caplog.at_level(logging.WARNING):
        read(load())
    assert [record.getMessage() for record in caplog.records] == []
