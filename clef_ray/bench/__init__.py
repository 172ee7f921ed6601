"""`clef-ray bench`: speed as ratios, measured in one run against a plain alternative and against the machine's limit.

ingest.py: raw files to shards. streaming.py: shards to augmented views. step.py: the training step. loss.py: the guided loss by batch.
evaluate.py, probes.py: judging encoders. sweep.py: what a sweep costs beyond its trials. scaling.py, scaling_model.py: a step on many workers.
index.py: what many records cost before training starts. naive.py: the step written plainly. measure.py: taking turns,
and the machine. Nothing but the project is needed: data are synthetic, in a temporary folder.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table

from clef_ray.bench import evaluate, index, ingest, loss, probes, scaling, step, streaming, sweep
from clef_ray.bench.measure import Figure, machine
from clef_ray.errors import ConfigError

#: What can be measured by itself, in the order of `all`.
GROUPS = ("ingest", "stream", "step", "loss", "evaluate", "sweep", "scaling")

#: Seconds of pretraining of a trial where the group `sweep` is asked for by itself.
LONG = 60.0


def run(group: str, quick: bool, as_json: bool, seconds: float | None = None) -> int:
    """Measure a group's figures, or with `all` those of every group, and print them, as a table or as JSON and nothing else.

    quick: fewer rounds. seconds: of pretraining of one trial of the group `sweep`. Returns 0 once all are measured. ConfigError for
    seconds of another group, or that are no length of time.
    """
    if seconds is not None and group != "sweep":
        raise ConfigError(f"--seconds {seconds:g}: only `clef-ray bench sweep` has trials of a chosen length")
    if seconds is not None and not 0 < seconds < math.inf:
        raise ConfigError(f"--seconds {seconds:g}: allowed is more than 0")
    options = {"--quick": quick, f"--seconds {seconds or 0:g}": seconds is not None, "--json": as_json}
    if group == "sweep" and seconds is None and not quick:
        seconds = LONG
    where, figures = machine(), _measure(group, quick, seconds)
    chosen = [] if group == "all" else [group]
    command = " ".join(["clef-ray bench", *chosen, *(name for name, given in options.items() if given)])
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


def _measure(group: str, quick: bool, seconds: float | None) -> list[Figure]:
    figures: list[Figure] = []
    with Console(file=sys.stderr).status("") as status:
        for name in GROUPS if group == "all" else (group,):
            say = partial(_say, status, name)
            figures += _figures(name, quick, seconds, say)
    return figures


def _say(status: Status, group: str, what: str) -> None:
    status.update(f"{group}: {what} ...")


def _figures(group: str, quick: bool, seconds: float | None, say: Callable[[str], None]) -> list[Figure]:
    if group == "ingest":
        few, many = (500, 2000) if quick else (1000, 50_000)
        rounds = 3 if quick else 9
        return ingest.ingest(ingest.Sizes(records=500, plain=50, rounds=rounds, few=few, many=many), say)
    if group == "stream":
        say("shards to views")
        sizes = streaming.Sizes(records=256 if quick else 512, pairs=64, batch=128, rounds=3 if quick else 15)
        return streaming.streaming(sizes)
    if group == "step":
        say("one training step")
        figures = step.training_step(step.Sizes(128, 8, 1, *((5, 3) if quick else (31, 9))))
        say("a step larger than memory")
        return [*figures, step.gradient_caching(*((514, 64) if quick else (8194, 256)))]
    if group == "loss":
        say("the guided loss by batch")
        by_batch = {64: 5, 2048: 3} if quick else {64: 31, 256: 31, 1024: 15, 2048: 15, 4096: 5, 8192: 3}
        return loss.losses(loss.Sizes(by_batch))
    if group == "evaluate":
        records, resamples, part = (5000, 100, (1, 4)) if quick else (100_000, 1000, (2, 8))
        figures = evaluate.evaluation(evaluate.Sizes(records, 44, resamples, part, rounds=3), say)
        features, some = (64, 4) if quick else (1024, 2)
        return [*figures, probes.probes(probes.Sizes(records, features, 44, some, rounds=1), say)]
    if group == "scaling":
        steps = scaling.Sizes(64, 3, (1, 2)) if quick else scaling.Sizes(128, 9, (1, 2, 4))
        found = scaling.scaling(steps, say)
        return [*found, *index.index((2_000, 16_000) if quick else (100_000, 800_000), say)]
    return sweep.sweep(_sweep_sizes(quick, seconds), say)


def _sweep_sizes(quick: bool, seconds: float | None) -> sweep.Sizes:
    if seconds is None:
        seconds = 1.0 if quick else 3.0
    # Epochs as long as an experiment's, where trials are long enough to have several.
    patients = 1000 if seconds >= 20 else 200
    return sweep.Sizes(patients, seconds, per_slot=2 if quick else 4, short=3 if quick else 6)


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
