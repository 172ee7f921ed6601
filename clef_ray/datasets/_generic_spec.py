"""What the YAML file of a generic dataset says, checked: every mistake is an error that names its line. The keys stand in generic.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clef_ray.datasets import lead_name
from clef_ray.datasets._files import OWN_RATE, PER_MILLIVOLT, Format, Layout
from clef_ray.datasets._generic_columns import (
    Column,
    Folds,
    LabelSet,
    read_covariate,
    read_each,
    read_folds,
    read_label_set,
    read_target,
)
from clef_ray.datasets._yaml import Section, load, to_float
from clef_ray.errors import ConfigError
from clef_ray.registry import unknown

_TOP = (
    "name",
    "root",
    "table",
    "record",
    "patient",
    "path",
    "format",
    "key",
    "leads",
    "rate",
    "units",
    "fs",
    "seconds",
    "pad",
    "covariates",
    "labels",
    "headline",
    "targets",
    "folds",
    "citation",
    "licence",
)

#: Keys that say something of a table's columns.
_OF_TABLE = ("patient", "covariates", "labels", "targets", "folds")


@dataclass(frozen=True, slots=True)
class Spec:
    """The whole file; `plain` is what it says, for the manifest. An empty text stands for a key that is not given."""

    top: Section
    name: str
    root: Path
    table: str
    record: str
    patient: str
    path: str
    layout: Layout
    rate: float | None
    rate_column: str
    fs: float
    seconds: float
    pad: bool
    covariates: Mapping[str, Column]
    labels: Mapping[str, LabelSet]
    headline: str
    targets: Mapping[str, Column]
    folds: Folds | None
    plain: Mapping[str, Any]


def read_spec(file: str) -> Spec:
    """The specification in a YAML file. ConfigError: line, key, what was given, what is allowed."""
    top = load(Path(file))
    top.check(_TOP, needed=("record", "format", "leads"))
    if "table" not in top:
        _check_without_table(top)
    layout = _layout(top)
    rate, column = _rate(top, layout.format)
    labels = read_each(top, "labels", read_label_set)
    headline = top.text("headline", next(iter(labels), ""))
    if headline not in ("", *labels):
        raise unknown("label set", headline, labels, top.at("headline"))
    return Spec(
        top=top,
        name=top.text("name", "generic"),
        root=Path(file).parent / top.text("root", "."),
        table=top.text("table", ""),
        record=top.text("record") if "table" in top else _below_root(top, "record"),
        patient=top.text("patient", ""),
        path=_below_root(top, "path") if "table" in top else "",
        layout=layout,
        rate=rate,
        rate_column=column,
        fs=_fs(top, rate),
        seconds=top.number("seconds", 10.0),
        pad=top.flag("pad"),
        covariates=read_each(top, "covariates", read_covariate),
        labels=labels,
        headline=headline,
        targets=read_each(top, "targets", read_target),
        folds=read_folds(top),
        plain=_plain(top),
    )


def _fs(top: Section, rate: float | None) -> float:
    """The shards' rate. Where the files or the table say theirs, each record might have another one."""
    if rate is None and "fs" not in top:
        raise ConfigError(f"{top.at()}: give fs, the rate of the shards in Hz (the map itself names no rate)")
    return top.number("fs", rate)


def _plain(top: Section) -> dict[str, Any]:
    """The file without folders of this machine: no root, and of a table elsewhere its name (its digest stands in the manifest too)."""
    said = {key: value for key, value in top.plain().items() if key != "root"}
    if Path(top.text("table", "")).is_absolute():
        said["table"] = Path(said["table"]).name
    return said


def _below_root(top: Section, key: str) -> str:
    """A path relative to the root: only such a one may stand in a manifest, which must not name this machine's folders."""
    path = top.text(key)
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ConfigError(
            f"{top.at(key)}: is to be below root, not {path}; name the folder with `root: FOLDER`"
        )
    return path


def _check_without_table(top: Section) -> None:
    for key in (*_OF_TABLE, "path"):
        if key in top:
            raise ConfigError(f"{top.at(key)}: needs a table; name one with `table: FILE`")
    if not any(mark in top.text("record") for mark in "*?["):
        raise ConfigError(
            f"{top.at('record')}: without a table it is a pattern of files, such as ecg/*.npy; with one (`table: FILE`) a column"
        )


def _layout(top: Section) -> Layout:
    form = cast("Format", top.choice("format", ("wfdb", "edf", "csv", "npy", "mat")))
    if form != "mat" and "key" in top:
        raise ConfigError(f"{top.at('key')}: only a MATLAB file (format: mat) has variables, not {form}")
    leads, named = _leads(top)
    if named and form in ("npy", "mat"):
        raise ConfigError(f"{top.at('leads')}: {form} names no leads; list them in the file's order")
    gain, baseline = _units(top, form)
    return Layout(
        format=form,
        leads=leads,
        gain=gain,
        baseline=baseline,
        key=top.text("key") if form == "mat" else "",
        named=named and form == "csv",
    )


def _leads(top: Section) -> tuple[dict[str, str], bool]:
    """Name in the file -> lead, and whether the map gives both."""
    named = top.is_section("leads")
    section = top.section("leads") if named else None
    pairs = (
        [(key, section.text(key)) for key in section.nodes]
        if section
        else [(n, n) for n in top.texts("leads")]
    )
    leads = {name: lead_name(lead) for name, lead in pairs}
    if not leads or len(set(leads.values())) < len(pairs):
        raise ConfigError(f"{top.at('leads')}: give each lead once")
    return leads, named


def _units(top: Section, form: str) -> tuple[float | None, float]:
    """Numbers per mV, and the number at 0 mV; None where the file says it."""
    if form == "wfdb":
        if "units" in top:
            raise ConfigError(f"{top.at('units')}: a WFDB header says its gain itself; leave this out")
        return None, 0.0
    if form == "edf" and "units" not in top:
        return None, 0.0
    if "units" in top and top.is_section("units"):
        section = top.section("units")
        section.check(("gain", "baseline"), needed=("gain",))
        return section.number("gain"), to_float(section.text("baseline", "0"), section.at("baseline"))
    return PER_MILLIVOLT[top.choice("units", PER_MILLIVOLT, "mV")], 0.0


def _rate(top: Section, form: str) -> tuple[float | None, str]:
    """The files' rate [Hz], or the column that says it."""
    if form in OWN_RATE:
        if "rate" in top:
            raise ConfigError(f"{top.at('rate')}: a {form} file says its rate itself; leave this out")
        return None, ""
    if "rate" in top and top.is_section("rate"):
        section = top.section("rate")
        section.check(("column",), needed=("column",))
        return None, section.text("column")
    return top.number("rate"), ""
