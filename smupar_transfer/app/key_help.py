"""``smupar COMMAND --help``: every key with its default and meaning, every option of every group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smupar_transfer.app import console, schema
from smupar_transfer.app.catalogue import COMMANDS, TAKES_NAME
from smupar_transfer.app.keys import Key, Takes, key_of_field, keys_of
from smupar_transfer.app.masking import masked
from smupar_transfer.app.options import options_of
from smupar_transfer.app.schema_parts import NESTED

REQUIRED = "(required)"
"""Shown in the place of a default where there is none."""

FLAG_MEANINGS = {
    "--help": "this page; with group=option and key=value, of what these make of it",
    "--cfg job": "print the configuration instead of running it; --resolve writes out references",
    "--multirun": "run once for every combination of key=a,b,c",
    "--config-dir FOLDER": "look for options, search spaces and sweeps in a folder of your own, too",
    "--plugin MODULE": "import a module of your own first, which registers rules, masks, optimizers, trackers, figures",
}


@dataclass(frozen=True)
class HelpRow:
    """A key as help shows it.

    Attributes:
        key: The key, with its name, meaning and choices.
        default: The default, as one would write it on the command line.
    """

    key: Key
    default: str

    @property
    def meaning(self) -> str:
        """What it means and, where it takes words only, which."""
        explained = all(choice in self.key.meaning for choice in self.key.choices)
        return self.key.meaning if explained else f"{self.key.meaning}: {', '.join(self.key.choices)}"


def rows(command: str, config: DictConfig) -> Iterator[HelpRow]:
    """All keys of a composed configuration, groups in the order of their schema, one after the other."""
    for name in config:
        yield from _rows(command, config, str(name), str(name), keys_of(command))


def _rows(command: str, parent: DictConfig, name: str, dotted: str, known: Mapping[str, Key]) -> Iterator[HelpRow]:
    # the node and not its value, of which OmegaConf would make what it refers to
    child = None if OmegaConf.is_missing(parent, name) else parent._get_node(name)
    key = known.get(dotted)
    if isinstance(child, DictConfig) and (key is None or key.takes in (Takes.GROUP, Takes.OPTION)):
        described = _described(child, dotted)
        for inner in child:
            yield from _rows(command, child, str(inner), f"{dotted}.{inner!s}", {**known, **described})
    elif isinstance(child, DictConfig) and key is not None:  # a mapping: a row for each of its entries
        for inner in child:
            entry = Key(f"{dotted}.{inner!s}", key.takes, key.meaning.replace("NAME", str(inner)))
            yield HelpRow(entry, _written(child, str(inner)))
    else:
        yield HelpRow(key or Key(dotted, Takes.TEXT), _written(parent, name))


def _described(node: DictConfig, dotted: str) -> dict[str, Key]:
    """Keys of a group by its own schema: a GPT's width is another thing than an MLP's."""
    kind: Any = OmegaConf.get_type(node)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        return {}
    return {item.name: item for item in (key_of_field(f"{dotted}.", field) for field in fields(kind))}


def _written(parent: DictConfig, name: str) -> str:
    """A value as one would write it; references stay references."""
    if OmegaConf.is_missing(parent, name):
        return REQUIRED
    # not resolved: that one key follows another is what a reader wants to know
    value = OmegaConf.to_container(OmegaConf.create({name: parent._get_node(name)}), resolve=False)
    assert isinstance(value, dict)
    return written(value[name])


def written(value: Any) -> str:
    """Plain data in the words of the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {written(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(value) if value != "" else "''"


def print_help(command: str, config: DictConfig, secrets: Sequence[str] = ()) -> None:
    """Print the help of a command, at most 100 columns wide.

    Args:
        command: The name of the command.
        config: The configuration, composed with the words of the command line.
        secrets: The passwords, which are not shown.
    """
    hydra = HydraConfig.get()
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    # with words the page shows what they make of the configuration, and these are no defaults
    given = [word for word in hydra.overrides.task if not word.startswith("sweep=")]
    out = console.terminal()
    name = " [NAME]" if command in TAKES_NAME else ""
    out.print(Text(f"smupar {command}: {COMMANDS[command]}", style="bold"))
    options = " [group=option ...]" if schema.GROUPS.keys() & set(config) else ""
    out.print(f"usage: smupar {command}{name} [key=value ...]{options} [flags]", markup=False)
    by_group: dict[str, list[HelpRow]] = {}
    for row in rows(command, config):
        group, dot, _ = row.key.name.partition(".")
        by_group.setdefault(group if dot else "", []).append(row)
    for group in ["", *(group for group in by_group if group)]:
        _print_group(out, group, by_group[group], "default" if not given else "value", secrets)
        if group in schema.GROUPS:
            _print_options(out, group, options_of(group, folders), str(hydra.runtime.choices.get(group)))
    _print_flags(out)


def _print_group(out: Console, group: str, members: Sequence[HelpRow], title: str, secrets: Sequence[str]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("key", no_wrap=True)
    table.add_column(title, overflow="fold", max_width=26)
    table.add_column("meaning", ratio=1)
    for row in members:
        table.add_row(Text(row.key.name), Text(masked(row.default, secrets)), Text(row.meaning))
    out.print()
    out.print(Text(_heading(group), style="bold"))
    out.print(table)


def _heading(group: str) -> str:
    """What the keys of a group are about: the first sentence of its schema."""
    if not group:
        return "Keys of this command."
    nodes = [*schema.GROUPS.get(group, {}).values(), *([NESTED[group]] if group in NESTED else [])]
    return f"{group}: {nodes[0].__doc__ if nodes else 'One entry for every name.'}"


def _print_options(out: Console, group: str, options: Mapping[str, str], chosen: str) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for name, line in options.items():
        table.add_row(Text(f"{'*' if name == chosen else ' '} {group}={name}"), Text(line))
    out.print(table)


def _print_flags(out: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for name, meaning in FLAG_MEANINGS.items():
        table.add_row(Text(name), Text(meaning))
    out.print()
    out.print(Text("flags (* marks the option that is chosen)", style="bold"))
    out.print(table)
    out.print(
        "Paths and names are taken as they are typed; a comma in one needs quotes under --multirun.", markup=False
    )
