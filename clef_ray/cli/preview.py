"""`clef-ray ingest DATASET --preview`: what is understood of a dataset, in numbers over all records and a picture of three.

Nothing is ingested, and no value of one patient is printed: shares, counts and quartiles only.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from clef_ray.cli.ecg_paper import Strip, draw
from clef_ray.datasets import Dataset, Signal, UnreadableError
from clef_ray.errors import StorageError
from clef_ray.registry import DATASETS
from clef_ray.scores import FIELDS
from clef_ray.shards.check import check_table

#: Records in the picture, and how many are tried for them.
DRAWN, TRIED = 3, 30

#: Quartiles of fewer patients, who may have many records each, would come close to the patients' own values.
ENOUGH = 20


def run(name: str, options: Mapping[str, Any], picture: str) -> int:
    """Print the mapping and write the picture. picture: the PNG's path, empty for NAME-preview.png in the working folder."""
    dataset: Dataset = DATASETS.get(name)(**options)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        table = dataset.table()
    check_table(dataset, table)
    console = Console()
    console.print(_overview(name, dataset, table))
    for found in (_numbers(dataset, table), _labels(dataset, table)):
        if found.row_count:
            console.print(found)
    for note in [*(f"Note: {warning.message}" for warning in warned), *_notes(dataset)]:
        console.print(note, highlight=False, markup=False)
    strips, problems = _strips(dataset, table)
    for reason, rows in problems.items():
        console.print(f"not drawn: {_rows(rows)}: {reason}", highlight=False, markup=False)
    if not strips:
        console.print(f"no picture: none of the {sum(map(len, problems.values()))} records tried can be read")
        return 1
    path = Path(picture or f"{name}-preview.png")
    try:
        path.write_bytes(draw(strips))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
    console.print(f"picture ({len(strips)} drawn): {path}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _overview(name: str, dataset: Dataset, table: pd.DataFrame) -> Table:
    shown = Table(
        title=f"{name}: what ingestion would read", title_justify="left", show_header=False, box=None
    )
    per_patient = table["patient"].value_counts()
    parts = [("train", table["fold"] <= 8), ("validation", table["fold"] == 9), ("test", table["fold"] == 10)]
    shown.add_row("records", f"{len(table):,}")
    shown.add_row("patients", f"{len(per_patient):,} (most records of one: {per_patient.max()})")
    shown.add_row("folds", ", ".join(f"{part} {int(rows.sum()):,}" for part, rows in parts))
    shown.add_row("leads", " ".join(dataset.leads))
    shown.add_row("rate", f"{dataset.fs:g} Hz in the shards")
    shorter = "shorter ones are filled up with 0 mV" if dataset.pad else "shorter ones are set aside"
    shown.add_row("seconds", f"{dataset.samples / dataset.fs:g} of each record; {shorter}")
    shown.add_row("licence", dataset.licence)
    shown.add_row("cite", dataset.citation)
    return shown


def _numbers(dataset: Dataset, table: pd.DataFrame) -> Table:
    """Covariates and targets: how many are known, and where they lie, so that a wrong unit is seen."""
    shown = Table(title="covariates and targets", title_justify="left")
    for head in ("name", "unit", "known", "quartiles, or share of 1"):
        shown.add_column(head, justify="right" if head == "known" else "left")
    named = [(name, FIELDS[name].unit, FIELDS[name].binary, table[name]) for name in dataset.covariates]
    named += [
        (f"target {name}", unit, False, table[f"target_{name}"]) for name, unit in dataset.targets.items()
    ]
    patient = table["patient"]
    for name, unit, binary, values in named:
        known = values.notna()
        shown.add_row(
            name,
            unit.split(";")[0],
            f"{known.mean():.1%}",
            _spread(values[known].to_numpy(), patient[known].nunique(), binary=binary),
        )
    return shown


def _spread(known_N: NDArray[np.float64], patients: int, *, binary: bool) -> str:
    if patients < ENOUGH:
        return f"of fewer than {ENOUGH} patients" if patients else "none known"
    if binary:
        return f"{known_N.mean():.1%}"
    low, middle, high = np.percentile(known_N, (25, 50, 75))
    return f"{low:.4g}  {middle:.4g}  {high:.4g}"


def _labels(dataset: Dataset, table: pd.DataFrame) -> Table:
    shown = Table(title="labels", title_justify="left")
    for head in ("label set", "annotated", "records of each class"):
        shown.add_column(head)
    for name, classes in dataset.label_sets.items():
        known = table[f"label_{name}"].dropna()
        counts = known.explode().value_counts()
        text = ", ".join(f"{one} {int(counts.get(one, 0)):,}" for one in classes)
        first = " (headline)" if name == dataset.headline else ""
        shown.add_row(f"{name}{first}", f"{len(known) / len(table):.1%}", text)
    return shown


def _notes(dataset: Dataset) -> Iterator[str]:
    """What the dataset counted as left out."""
    implausible = dataset.parameters().get("implausible", {})
    found = ", ".join(f"{name} {count:,}" for name, count in implausible.items() if count)
    if found:
        yield f"values that no person can have, taken as unknown: {found}"


def _strips(dataset: Dataset, table: pd.DataFrame) -> tuple[list[Strip], dict[str, list[int]]]:
    """Up to DRAWN records from all over the table, and reason -> rows of others that could not be read; no more than TRIED are."""
    strips: list[Strip] = []
    problems: dict[str, list[int]] = {}
    for position in _spaced(len(table)):
        row = {str(column): value for column, value in table.iloc[position].items()}
        try:
            signal = dataset.signal(row)
        except UnreadableError as error:
            problems.setdefault(error.reason, []).append(position + 1)
            continue
        strips.append(_strip(signal, dataset, position, len(table)))
        if len(strips) == DRAWN:
            break
    return strips, problems


def _rows(rows: Sequence[int]) -> str:
    """The first few by number, the others as a count."""
    named = ", ".join(f"{row:,}" for row in rows[:DRAWN])
    more = f" and {len(rows) - DRAWN} more" if len(rows) > DRAWN else ""
    return f"row{'s' * (len(rows) > 1)} {named}{more}"


def _spaced(count: int) -> list[int]:
    """Positions to try: first those of the picture, evenly over the table, then those between them."""
    wanted = np.linspace(0, count - 1, min(count, DRAWN)).round().astype(int)
    others = np.linspace(0, count - 1, min(count, TRIED)).round().astype(int)
    return list(dict.fromkeys([*wanted.tolist(), *others.tolist()]))[:TRIED]


def _strip(signal: Signal, dataset: Dataset, position: int, count: int) -> Strip:
    whole = signal.raw_CT.shape[1] / signal.fs
    kept = round(dataset.samples / dataset.fs * signal.fs)
    leads = f"{len(signal.leads)} lead{'s' * (len(signal.leads) > 1)}"
    title = f"row {position + 1:,} of {count:,}: {leads}, {signal.fs:g} Hz, {whole:.4g} s"
    strip = Strip(title, signal.millivolts()[:, :kept], signal.fs, signal.leads)
    if strip.seconds < 0.99 * whole:
        strip = Strip(f"{title}, the first {strip.seconds:.4g} s", strip.mv_CT, strip.fs, strip.leads)
    return strip
