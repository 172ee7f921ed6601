"""The keys of a generic dataset's YAML file that describe columns of its table: covariates, targets, labels and folds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from clef_ray.datasets import COVARIATES
from clef_ray.datasets._yaml import Section, to_float
from clef_ray.errors import ConfigError
from clef_ray.registry import unknown
from clef_ray.scores import FIELDS, MMOL_PER_MG

#: Field -> unit -> factor and summand that make it the field's own unit, which is the first one.
UNITS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "age": {"years": (1, 0), "months": (1 / 12, 0), "days": (1 / 365.25, 0)},
    "diabetes_age": {"years": (1, 0), "months": (1 / 12, 0), "days": (1 / 365.25, 0)},
    "sbp": {"mmHg": (1, 0), "kPa": (7.50062, 0)},
    "total_cholesterol": {"mmol/L": (1, 0), "mg/dL": (MMOL_PER_MG, 0)},
    "hdl": {"mmol/L": (1, 0), "mg/dL": (MMOL_PER_MG, 0)},
    "hba1c": {"mmol/mol": (1, 0), "%": (10.929, -2.15 * 10.929)},
    "bmi": {"kg/m2": (1, 0)},
    "egfr": {"mL/min/1.73 m2": (1, 0)},
}

_Entry = TypeVar("_Entry")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers. at: where it is named; values: what its texts mean, none where they are numbers; then x scale + shift."""

    name: str
    at: str
    values: Mapping[str, float]
    scale: float = 1.0
    shift: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One label set: the texts of one column, cut at `separator`, or one 0/1 column per class (`columns`: class -> column).

    classes: in order, empty where the table's own texts are the classes; meaning: text -> class, for texts that are named otherwise.
    """

    at: str
    column: str
    separator: str
    classes: tuple[str, ...]
    meaning: Mapping[str, str]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Folds:
    """A column of folds 1..10, or of parts; parts: text -> train, validation or test."""

    at: str
    column: str
    parts: Mapping[str, str]


def read_each(top: Section, key: str, parse: Callable[[Section, str], _Entry]) -> dict[str, _Entry]:
    section = top.section(key)
    return {name: parse(section, name) for name in section.nodes}


def _column(section: Section, name: str, *, unit: bool) -> Column:
    """`name: column`, or a block with column, map and unit."""
    if section.is_text(name):
        return Column(section.text(name), section.at(name), {})
    block = section.section(name)
    block.check(("column", "map", "unit") if unit else ("column", "map"), needed=("column",))
    means = block.section("map")
    values = {text: to_float(means.text(text), means.at(text)) for text in means.nodes}
    return Column(
        block.text("column"), block.at("column"), values, unit=block.text("unit", "") if unit else ""
    )


def read_covariate(section: Section, name: str) -> Column:
    if name not in COVARIATES:
        raise unknown("covariate", name, COVARIATES, section.at(name))
    column = _column(section, name, unit=name in UNITS)
    if not column.unit:
        return column
    if column.unit not in UNITS[name]:
        raise unknown(f"unit of {name}", column.unit, UNITS[name], section.section(name).at("unit"))
    scale, shift = UNITS[name][column.unit]
    return Column(column.name, column.at, column.values, scale, shift, column.unit)


def read_target(section: Section, name: str) -> Column:
    if name in FIELDS:
        raise ConfigError(f"{section.at(name)}: is a covariate; list it under covariates")
    column = _column(section, name, unit=True)
    if not column.unit:
        raise ConfigError(f"{section.at(name)}: give column and unit")
    return column


def read_label_set(section: Section, name: str) -> LabelSet:
    block = section.section(name)
    block.check(("column", "separator", "classes", "map", "columns"))
    if ("column" in block) == ("columns" in block):
        raise ConfigError(f"{block.at()}: give either column or columns")
    columns, meaning = block.section("columns"), block.section("map")
    named = {key: columns.text(key) for key in columns.nodes}
    meanings = {text: meaning.text(text) for text in meaning.nodes}
    classes = (
        block.texts("classes")
        if "classes" in block
        else tuple(named) or tuple(dict.fromkeys(meanings.values()))
    )
    if "columns" in block and set(block.nodes) != {"columns"}:
        raise ConfigError(f"{block.at()}: with columns, which are the classes, there is nothing else to say")
    if wrong := sorted(set(meanings.values()) - set(classes)):
        raise unknown("class", wrong[0], classes, block.at("map"))
    column = block.text("column") if "column" in block else ""
    return LabelSet(
        block.at(),
        column,
        block.text("separator", " ") if "separator" in block else "",
        classes,
        meanings,
        named,
    )


def read_folds(top: Section) -> Folds | None:
    """None: dealt by patient."""
    if "folds" not in top or (top.is_text("folds") and top.choice("folds", ("hashed",))):
        return None
    block = top.section("folds")
    block.check(("column", "parts"), needed=("column",))
    section = block.section("parts")
    parts = {text: section.choice(text, ("train", "validation", "test")) for text in section.nodes}
    return Folds(block.at("column"), block.text("column"), parts)
