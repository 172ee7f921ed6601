"""`clef-ray report`: the report of an experiment, made again from what the store holds; needs neither Ray nor MLflow."""

import argparse
import webbrowser
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from clef_ray.errors import ConfigError
from clef_ray.registry import unknown
from clef_ray.report import Comparison, compare, paper, print_comparison, write_report
from clef_ray.report.clouds import clouds
from clef_ray.report.record import RECORD, load, summary
from clef_ray.store import Store

_FILES = {"html": "report.html", "md": "table.md", "tex": "table.tex"}


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison and where its files lie, or (--format md, tex) the table alone; without EXPERIMENT the list of all.

    ConfigError for an experiment or plan that has no report; DataError for one whose runs have other names in this version.
    """
    if arguments.experiment is None:
        return _list(arguments.storage)
    folder = _find(arguments.experiment, arguments.storage, arguments.plan)
    reports, _ = Store.holding(folder.path())
    above, name = Store.holding(reports.uri)
    storage = above.uri if name == "reports" else reports.uri
    report = load(folder, storage)
    options, leakage = (report.lineage.get(name, "") for name in ("options", "leakage"))  # older: none
    drawn, lacking = clouds(report.plan, report.outcomes, storage, report.lineage)
    comparison = compare(report.plan, report.outcomes, report.study, options, leakage)
    comparison = replace(comparison, caveats=(*comparison.caveats, *filter(None, [lacking])))
    files = write_report(
        reports,
        report.plan,
        report.outcomes,
        comparison,
        report.lineage,
        report.study,
        report.resources,
        drawn,
    )
    _tell(comparison, files, arguments.format)
    if arguments.open:
        local = files["report.html"].removeprefix("file://")
        if "://" in local:
            raise ConfigError(f"--open: {local} is no local file; copy it first")
        webbrowser.open(Path(local).as_uri())
    return 0


def _tell(comparison: Comparison, files: dict[str, str], form: str) -> None:
    if form != "html":
        print((paper.markdown if form == "md" else paper.latex)(comparison), end="")
        return
    console = Console()
    print_comparison(comparison, console)
    for name in _FILES.values():
        console.print(files[name], highlight=False, soft_wrap=True)


def _find(experiment: str, storage: str, plan: str) -> Store:
    """The folder of a report: the path given, or the experiment's newest one whose plan begins so."""
    if Store(experiment).exists(RECORD):
        return Store(experiment.rstrip("/"))
    reports = Store(storage).child("reports")
    folders = _folders(reports)
    names = {folder: folder.rpartition("-")[0] for folder in folders}
    if experiment not in names.values():
        raise unknown("experiment", experiment, set(names.values()), reports.path())
    plans = [f for f, name in names.items() if name == experiment]
    if not (fitting := [f for f in plans if f.rpartition("-")[2].startswith(plan)]):
        raise unknown("plan", plan, [f.rpartition("-")[2] for f in plans], f"--plan, {experiment}")
    if len(fitting) == 1:
        return reports.child(fitting[0])
    return max((reports.child(f) for f in fitting), key=lambda folder: summary(folder).finished)


def _folders(reports: Store) -> list[str]:
    """The folders that hold a record, `<experiment>-<plan>`."""
    return [name for name in reports.list() if reports.exists(f"{name}/{RECORD}")]


def _list(storage: str) -> int:
    """Every experiment with a report: a line with its plan, when and how much of it, and below what it found; the newest last."""
    console, reports = Console(), Store(storage).child("reports")
    found = {name: summary(reports.child(name)) for name in _folders(reports)}
    if not found:
        console.print(
            f"No reports in {reports.path()}; start an experiment first.", highlight=False, soft_wrap=True
        )
        return 0
    width = max(len(name) for name in found)
    for name, line in sorted(found.items(), key=lambda item: item[1].finished):
        experiment, _, plan = name.rpartition("-")
        told = f" {plan}{' ' * (width - len(name))}  {line.finished}  {line.complete}/{line.planned} trials"
        # Longer than the terminal is wide, it is the terminal's to break: a name is to be copied whole.
        console.print(Text.assemble((experiment, "bold"), told), soft_wrap=True)
        console.print(Padding.indent(Text(line.answer, style="dim", overflow="fold"), 2))
    return 0
