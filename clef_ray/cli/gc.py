"""`clef-ray gc`: what can go, how much it is and why; and, unless it is a dry run, gone."""

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clef_ray import gc as collector
from clef_ray.store import Store


def gc(arguments: argparse.Namespace) -> int:
    """Returns 0; StorageError, ConfigError and DataError as `clef_ray.gc.find` and `free`."""
    found = collector.find(arguments.storage, older_than=arguments.older_than, encoders=arguments.encoders)
    if not arguments.dry_run:
        collector.free(arguments.storage, found)
    total = sum(g.size for g in found)
    if arguments.json:
        items = [
            {"kind": g.kind, "name": g.name, "bytes": g.size, "why": collector.KINDS[g.kind]} for g in found
        ]
        print(json.dumps({"dry_run": arguments.dry_run, "bytes": total, "items": items}, indent=1))
        return 0
    console, place = Console(), escape(Store(arguments.storage).path())
    if not found:
        console.print(f"Nothing to free in {place}.", highlight=False, soft_wrap=True)
        return 0
    console.print(_table(found))
    said = "Would free" if arguments.dry_run else "Freed"
    console.print(f"{said} [bold]{amount(total)}[/] in {place}.", highlight=False, soft_wrap=True)
    return 0


def _table(found: Sequence[collector.Garbage]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("why")
    for kind, why in collector.KINDS.items():
        if sizes := [g.size for g in found if g.kind == kind]:
            table.add_row(kind, f"{len(sizes):,}", amount(sum(sizes)), f"[dim]{why}[/]")
    return table


def amount(size: float) -> str:
    """Bytes as a person reads them: 3 B, 1.2 kB, 45 MB."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.{1 if size < 9.95 and units[0] != 'B' else 0}f} {units[0]}"
