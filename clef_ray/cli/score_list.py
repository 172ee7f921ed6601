"""`clef-ray score --list`: every score, what it needs and where it comes from."""

import inspect
from typing import Any, Literal, get_args, get_origin

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clef_ray.registry import SCORES, Parameter
from clef_ray.scores import FIELDS, Score


def show() -> int:
    """A table of the scores at their defaults, then their sources and the columns they read."""
    console = Console()
    scores: dict[str, Score] = {name: SCORES.get(name)() for name in SCORES.names()}
    console.print(_scores(scores))
    console.print(_pairs("Sources", {name: score.source for name, score in scores.items()}))
    fields = {name: f"{field.about} [{field.unit}]" for name, field in FIELDS.items()}
    console.print(_pairs("Columns they read, and their units", fields))
    return 0


def _scores(scores: dict[str, Score]) -> Table:
    table = Table(title="Scores (clef-ray score --score NAME)", title_justify="left", show_lines=True)
    for heading in ("score, what it gives", "columns it needs", "--set option=default (others)"):
        table.add_column(heading, overflow="fold")
    for name, score in scores.items():
        ages = "any age" if score.ages is None else "ages {:g}-{:g}".format(*score.ages)
        schema = SCORES.schema(name)
        needed = [", ".join(score.fields) or "none", *_needed_otherwise(name, score.fields)]
        options = [_option(key, parameter) for key, parameter in schema.items()]
        table.add_row(f"{name}\n{score.unit}\n{ages}", "\n".join(needed), "\n".join(options) or "none")
    return table


def _needed_otherwise(name: str, usual: tuple[str, ...]) -> list[str]:
    """The columns of the option values that need others than the default."""
    found = []
    for key, parameter in SCORES.schema(name).items():
        for choice in _choices(parameter):
            fields = SCORES.get(name)(**{key: choice}).fields
            if fields != usual:
                found.append(f"{key}={choice}: {', '.join(fields)}")
    return found


def _choices(parameter: Parameter) -> tuple[Any, ...]:
    """The values an option can take, where they are a list."""
    return get_args(parameter.annotation) if get_origin(parameter.annotation) is Literal else ()


def _option(key: str, parameter: Parameter) -> str:
    given: Any = parameter.default
    choices = _choices(parameter)
    others = f" ({', '.join(str(c) for c in choices if c != given)})" if choices else ""
    return key if given is inspect.Parameter.empty else f"{key}={'none' if given is None else given}{others}"


def _pairs(title: str, texts: dict[str, str]) -> Padding:
    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in texts.items():
        table.add_row(Text(name), Text(text))
    return Padding(table, (1, 0, 0, 0))
