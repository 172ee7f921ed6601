"""`clef-ray bench`: speed as ratios, measured in one run against a plain alternative and against the machine's limit.

streaming.py: shards to augmented views. step.py: the training step. loss.py: the guided loss by batch. ray_share.py: what Ray adds to a
trial. naive.py: the step written plainly. measure.py: taking turns, and the machine. Nothing but the project is needed: data are synthetic, in a temporary folder.
"""

import json
import sys
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from clef_ray.bench import loss, ray_share, step, streaming
from clef_ray.bench.measure import Figure, machine


def run(quick: bool, as_json: bool) -> int:
    """Measure all figures and print them, as a table or as JSON and nothing else. quick: fewer rounds. Returns 0 once all are measured."""
    where, figures = machine(), _measure(quick)
    options = {"--quick": quick, "--json": as_json}
    command = " ".join(["clef-ray bench", *(name for name, given in options.items() if given)])
    if as_json:
        print(
            json.dumps(
                {"command": command, "machine": where, "figures": [asdict(f) for f in figures]}, indent=1
            )
        )
        return 0
    console = Console()
    console.print(_table(figures))
    for note in dict.fromkeys(f.note for f in figures):
        console.print(note, highlight=False, style="dim")
    console.print(", ".join(f"{name} {value}" for name, value in where.items()), highlight=False)
    console.print(f"command: {command}", highlight=False)
    return 0


def _measure(quick: bool) -> list[Figure]:
    status, figures = Console(file=sys.stderr), []
    with status.status("streaming and augmentation ..."):
        sizes = streaming.Sizes(records=256 if quick else 512, pairs=32, batch=128, rounds=3 if quick else 15)
        figures += streaming.streaming(sizes)
    with status.status("the training step ..."):
        figures += step.training_step(step.Sizes(batch=128, steps=1, rounds=5 if quick else 31))
    with status.status("a step larger than memory ..."):
        figures.append(step.gradient_caching(*((514, 64) if quick else (8194, 256))))
    with status.status("the guided loss ..."):
        by_batch = {64: 5, 2048: 3} if quick else {64: 31, 256: 31, 1024: 15, 2048: 15, 4096: 5, 8192: 3}
        figures += loss.losses(loss.Sizes(by_batch))
    with status.status("a small sweep under Ray ..."):
        epochs, trials = (1, 3) if quick else (4, 6)
        figures += ray_share.ray_share(ray_share.Sizes(patients=200, epochs=epochs, trials=trials))
    return figures


def _table(figures: list[Figure]) -> Table:
    table = Table("figure", "unit", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("ours", "plain", "ratio", "limit", "target"):
        table.add_column(heading, justify="right")
    for f in figures:
        mark = "" if f.met is None else (" [green]ok[/]" if f.met else " [red]missed[/]")
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}x"
        table.add_row(
            f.name, f.unit, _number(f.ours), _number(f.plain), ratio, _number(f.limit), f.target + mark
        )
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
