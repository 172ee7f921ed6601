"""Does a clinical risk score already know what the encoder is asked afterwards?

The reviewers of CLEF asked it: an encoder is taught which patients are alike by a score made of age, sex and blood pressure, and is then judged by
diagnoses that age, sex and blood pressure already tell apart. This looks at the labels alone, without ECG, encoder, training or Ray:
of every score that the corpus's covariates give, the AUROC for every class, the rank correlation with every value (blood pressure, age, the
dataset's targets), and the RSA between score differences and label distances, each with a 95 % interval over patients.

How to use it: a class that the score knows with AUROC .70 and the guided encoder with .72 owes the encoder little; a class of which the score
knows nothing (.50) and which guidance lifts all the same has been learnt from the ECG. All records count, since nothing is fitted.

Controls: the leading score permuted over patients (must know nothing), age and sex by themselves (is it more than age?), and `acute`, made of
the very diagnoses (must know nearly everything). What to expect: SCORE2 about equal to age where only age and sex are known (PTB-XL,
CODE-15), and AUROCs of .6 to .8 for what comes with age: fibrillation, hypertrophy, infarction; less for rate and rhythm of the young.
In the synthetic cohort at `effect=0` no score knows anything but what `acute` is made of.

Scores are computed as everywhere here: missing fields stand at their centre, age and sex have to be known. A dataset that is not ingested
yet is asked for its table and none of its signals, so records that ingestion would set aside still count; shards hold what is left.

    python experiments/score_label_correlation.py                                 synthetic cohort, a minute
    python experiments/score_label_correlation.py --data /data/ptbxl --json       PTB-XL: every label set, and every figure as JSON
    python experiments/score_label_correlation.py --data synthetic:effect=0       a cohort where the score knows nothing
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from clef_ray.cli import Parser, guarded

NAME = "score_label_correlation"
QUESTION = "Does a clinical risk score already know what the encoder is asked afterwards?"

#: Beside a dataset's own targets: what the leakage probes ask of an embedding.
VALUES = ("age", "sbp")
SMOKE = "synthetic:patients=200,records_per_patient=1"


class Asked(NamedTuple):
    """A corpus without its signals. mark: the fingerprint of its table."""

    table: pd.DataFrame
    label_sets: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]
    mark: str


def options() -> Parser:
    """The command line."""
    about = (__doc__ or "").split("\n    python ")[0].strip()
    parser = Parser(prog=f"python experiments/{NAME}.py", description=about)
    add = parser.add_argument
    add(
        "--data",
        default="synthetic",
        metavar="PATH|URI|NAME",
        help="shards, a dataset's folder, or NAME[:key=value,...] (default: synthetic)",
    )
    add("--storage", default="storage", metavar="URI", help="reports lie below it (default: storage)")
    add("--out", metavar="DIR", help=f"folder of the report (default: STORAGE/reports/{NAME}-...)")
    add("--resamples", type=int, default=1000, metavar="N", help="of the patients (default: 1000)")
    add("--json", action="store_true", help="print every figure as JSON and nothing else")
    add("--smoke", action="store_true", help="a minimal version; its numbers mean nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Compute, print and write; returns the exit code."""
    arguments = options().parse_args(argv)
    return guarded(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Data -> associations -> report."""
    from clef_ray.config import fingerprint
    from clef_ray.errors import ConfigError
    from clef_ray.evaluate.associations import associations
    from clef_ray.report.associations import answer, records, write
    from clef_ray.store import Store

    if arguments.resamples < 1:
        raise ConfigError(f"--resamples {arguments.resamples}: at least 1 is needed")
    Store(arguments.out or arguments.storage).check_writable()
    small = arguments.smoke and arguments.data == "synthetic"
    data, n_boot = SMOKE if small else arguments.data, 20 if arguments.smoke else arguments.resamples
    asked = read(data)
    mark = fingerprint({"table": asked.mark, "resamples": n_boot})[:8]
    store = Store(arguments.out or Store(arguments.storage).child("reports").child(f"{NAME}-{mark}").uri)
    found = associations(asked.table, asked.label_sets, asked.targets, n_boot=n_boot)
    command = shlex.join(["python", f"experiments/{NAME}.py", "--data", data, "--resamples", str(n_boot)])
    write(found, store, {"name": NAME, "question": QUESTION, "data": data, "command": command})
    if arguments.json:
        figures: list[dict[str, Any]] = records(found)
        json.dump({"answer": answer(found), "figures": figures, "notes": found.notes}, sys.stdout, indent=1)
        print()
    else:
        print(answer(found))
        print("\n".join(found.notes))
        print(f"Report:    {store.path('report.html')}")
    return 0


def read(data: str) -> Asked:
    """What `--data` names: the table of shards, or that of a dataset's folder, of which no signal is read."""
    from clef_ray.cli.data import Raw, find
    from clef_ray.config import fingerprint
    from clef_ray.shards import Manifest, read_table

    found = find(data, fs=100)
    if isinstance(found, Raw):
        made = found.build()
        mark = fingerprint({"dataset": found.name, "parameters": made.parameters()})
        return Asked(
            _with_findings(made.table(), made.headline), made.label_sets, (*made.targets, *VALUES), mark
        )
    manifest = Manifest.load(found)
    return Asked(read_table(found), manifest.label_sets, (*manifest.targets, *VALUES), manifest.fingerprint)


def _with_findings(table: pd.DataFrame, headline: str) -> pd.DataFrame:
    """What `read_table` adds to a table of shards: how many classes but NORM a record has in the headline label set, NaN where nobody looked."""
    lists = table[f"label_{headline}"] if headline else [None] * len(table)
    return table.assign(findings=[float("nan") if a is None else float(len({*a} - {"NORM"})) for a in lists])


if __name__ == "__main__":
    raise SystemExit(main())
