"""`clef-ray ingest --list`: every dataset, what it holds and how to get it."""

import inspect
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from clef_ray.datasets import COVARIATES, Source
from clef_ray.registry import DATASETS


def show() -> int:
    """One row per dataset, counts as published; below it how each is had."""
    console = Console()
    table = Table(
        title="Datasets (clef-ray ingest NAME --root DIR --out DIR)", title_justify="left", show_lines=True
    )
    for heading in ("dataset, access, licence", "records, patients", "covariates", "--set option=default"):
        table.add_column(heading, overflow="fold")
    sources = Table(
        title="How to get them", title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    for name in DATASETS.names():
        dataset = DATASETS.get(name)
        source: Source = dataset.source
        table.add_row(
            "\n".join(filter(None, (name, source.access, _text(getattr(dataset, "licence", None))))),
            f"{_count(source.records)}\n{_count(source.patients)}",
            _covariates(dataset.covariates),
            "\n".join(_options(name)) or "none",
        )
        sources.add_row(name, f"{source.how}\n{source.url}")
    console.print(table)
    console.print(Padding(sources, (1, 0, 0, 0)))
    return 0


def _text(value: Any) -> str:
    """What a class says; some know it only of a folder."""
    return value if isinstance(value, str) else ""


def _count(published: int | None) -> str:
    return "unknown" if published is None else f"{published:,}"


def _covariates(names: tuple[str, ...]) -> str:
    return "all" if set(names) == set(COVARIATES) else ", ".join(names) or "none"


def _options(name: str) -> list[str]:
    return [
        f"{key}={'none' if parameter.default is None else parameter.default}"
        for key, parameter in DATASETS.schema(name).items()
        if parameter.default is not inspect.Parameter.empty
    ]
