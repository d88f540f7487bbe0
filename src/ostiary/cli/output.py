"""How commands show things: tables for people, JSON for scripts. Nothing is ever cut off, on a pipe least of all."""

import json
from collections.abc import Iterable, Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ostiary.settings import Description


def print_json(value: object) -> None:
    """Print JSON, in ASCII so that no terminal or pipe can spoil it."""
    typer.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: folded to a terminal's width, on a pipe as wide as it has to be."""
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))  # as Text, since what stands in square brackets would be markup
    _print(table)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print one thing's facts, a line for each."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(name, style="bold"), Text(value))
    _print(table)


def print_settings(topic: str, settings: Iterable[Description]) -> None:
    """Print the settings of one topic, each with its value and where that came from, and what it means."""
    console = Console(soft_wrap=True)
    console.print(Text(f"{topic}\n", style="bold"))
    for setting in settings:
        console.print(Text.assemble("  ", (setting.variable, "bold"), f" = {setting.value}  ({setting.origin})"))
        console.print(Text(f"      {setting.meaning} Default: {setting.default.replace('`', '')}\n", style="dim"))


def yes_or_no(value: bool) -> str:
    """Write a truth value."""
    return "yes" if value else "no"


def _print(table: Table) -> None:
    console = Console()
    for column in table.columns:
        column.overflow = "fold"
    if not console.is_terminal:
        console.width = max(1, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    console.print(table)
