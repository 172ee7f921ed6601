"""`clef-ray shards verify|info|merge|split`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clef_ray.errors import ClefRayError, ConfigError
from clef_ray.shards.info import describe
from clef_ray.shards.manifest import Manifest
from clef_ray.shards.merge import merge as run_merge
from clef_ray.shards.split import split as run_split
from clef_ray.shards.verify import problems
from clef_ray.store import Store


def verify(arguments: argparse.Namespace) -> int:
    """Every folder is looked at; exit code 1 where one is not what its manifest says."""
    found: dict[str, list[str]] = {}
    for folder in arguments.folders:
        try:
            found[folder] = problems(folder)
        except ClefRayError as error:
            found[folder] = [str(error)]
    if arguments.json:
        print(json.dumps(found, indent=1))
    for folder, wrong in found.items() if not arguments.json else ():
        if wrong:
            print(f"{folder}: {len(wrong)} problems")
            print("".join(f"  {text}\n" for text in wrong), end="")
        else:
            print(f"{folder}: ok, {_size(Manifest.load(folder))}")
    return 1 if any(found.values()) else 0


def info(arguments: argparse.Namespace) -> int:
    told = {folder: describe(folder) for folder in arguments.folders}
    if arguments.json:
        print(json.dumps(told, indent=1))
        return 0
    for folder, about in told.items():
        _show(folder, about)
    return 0


def merge(arguments: argparse.Namespace) -> int:
    Store(arguments.out).check_writable()
    manifest = run_merge(arguments.folders, arguments.out)
    for origin in manifest.made_from:
        aside = origin["records"] - origin["kept"]
        print(
            f"{origin['name']}: {origin['kept']} records"
            + (f", {aside} set aside: an earlier folder holds them" if aside else "")
        )
    print(f"{arguments.out}: {_size(manifest)}; fingerprint {manifest.fingerprint}")
    return 0


def split(arguments: argparse.Namespace) -> int:
    for out in filter(None, (arguments.out, arguments.rest)):
        Store(out).check_writable()
    made = run_split(
        arguments.folder,
        arguments.out,
        folds=_folds(arguments.folds),
        share=arguments.share,
        seed=arguments.seed,
        rest=arguments.rest,
    )
    for out, manifest in zip(filter(None, (arguments.out, arguments.rest)), made, strict=True):
        print(f"{out}: {_size(manifest)}; fingerprint {manifest.fingerprint}")
    return 0


def _folds(text: str) -> list[int]:
    """`1-8`, `9,10`, `1-3,7` as numbers."""
    found: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise ConfigError(f"--folds {text}: give numbers of 1 to 10, e.g. 1-8 or 9,10") from None
    return found


def _size(manifest: Manifest) -> str:
    return f"{manifest.records:,} records of {manifest.patients:,} patients in {len(manifest.parts)} parts"


def _show(folder: str, about: Mapping[str, Any]) -> None:
    """A page for people: counts and shares."""
    console = Console()
    seconds = about["samples"] / about["fs"]
    console.print(f"[bold]{escape(folder)}[/]", highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")
    rows: dict[str, str] = {
        "dataset": about["dataset"],
        "made with": _pairs({k: v for k, v in about["parameters"].items() if not isinstance(v, Mapping)}),
        "records": f"{about['records']:,} of {about['patients']:,} patients, in {about['parts']} parts, {about['bytes'] / 1e9:.2f} GB",
        "signals": f"{len(about['leads'])} leads ({', '.join(about['leads'])}), {seconds:g} s at {about['fs']:g} Hz",
        "folds": _pairs(about["folds"]),
        **{
            f"labels {name}": f"{about['annotated'][name]:,} annotated: {_pairs(found)}"
            for name, found in about["labels"].items()
        },
        "known": _shares({**about["coverage"], **about["known_targets"]}),
        "set aside": _pairs(about["quarantined"]) or "none",
        "fitted": _pairs({what: n for what, n in about["fitted"].items() if n}) or "none",
        "looks odd": _pairs(about["hints"]) or "nothing",
        "quality": _pairs(about["quality"]),
        "filters": _pairs({name: value for name, value in about["filters"].items() if value is not None})
        or "none",
        "made from": "\n".join(_origin(origin) for origin in about["made_from"]),
        "source": about["source"].get("url", ""),
        "licence": about["licence"],
        "fingerprint": f"{about['fingerprint']} (schema version {about['schema_version']})",
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, escape(text))
    console.print(table, highlight=False)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in values.items()
    )


def _shares(values: Mapping[str, float]) -> str:
    return (
        ", ".join(f"{name} {share:.1%}" for name, share in values.items() if share)
        or "nothing but the signals"
    )


def _origin(origin: Mapping[str, Any]) -> str:
    chosen = origin.get("selection")
    return (
        f"{origin.get('name', origin['dataset'])}: {origin['kept']:,} of {origin['records']:,} records, fingerprint {origin['fingerprint']}"
        + (f" ({_pairs(chosen)})" if chosen else "")
    )
