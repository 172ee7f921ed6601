"""The verbs of `clef-ray`: their options and examples. What they do stands in actions.py."""

from dataclasses import fields
from typing import Any

from clef_ray.cli import cluster, corpora, export, migrate, operations, trained, verb
from clef_ray.cli.actions import evaluate, ingest, pretrain, score, synth
from clef_ray.cli.map_help import MapHelp
from clef_ray.registry import DATASETS
from clef_ray.sections import Quality

Subparsers = Any  # argparse keeps its type private

_SCORE = """\
One clinical score of every row of a table of patients: CSV or Parquet, by the name's ending.

Columns are named as in `clef-ray score --list`; all are kept. Added are NAME, NAME_observed (how many of the needed
values are known) and NAME_valid (whether the score was derived for such a patient). Where NAME is a column already
(age, sex) they begin with NAME_score; age_sex, a point, has NAME_1 and NAME_2 for NAME.

An empty cell is unknown, and makes the score unknown unless --impute fills it. Sex may be 0, 1, male, female, m, f;
yes and no may be 0, 1, true, false, yes, no. Rows with the same `patient`, if there is such a column, are one patient's."""


def add_all(actions: Subparsers) -> None:
    """Every verb, in the order of a first session."""
    _add_synth(actions)
    _add_ingest(actions)
    corpora.add_all(actions)
    _add_score(actions)
    _add_pretrain(actions)
    _add_evaluate(actions)
    trained.add_all(actions)
    export.add_all(actions)
    operations.add_all(actions)
    migrate.add(actions)
    cluster.add(actions)


def _add_synth(actions: Subparsers) -> None:
    add = verb(
        actions,
        "synth",
        synth,
        "Make a synthetic cohort, as shards.",
        "clef-ray synth --patients 500 --out storage/shards/demo",
    )
    add("--out", required=True, metavar="DIR", help="folder of the shards")
    add("--patients", type=int, default=1000, help="how many patients (default: 1000)")
    add("--seed", type=int, default=0, help="another seed is another cohort (default: 0)")
    add(
        "--effect",
        type=float,
        default=1.0,
        help="strength of every link between risk factors and waveform; 0 switches all off (default: 1)",
    )
    add(
        "--missing",
        default="none",
        choices=("none", "mcar", "mar", "mnar"),
        help="how covariates go missing (default: none)",
    )
    add(
        "--missing-rate",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of covariates deleted, 0..1 (default: 0)",
    )
    _add_ingest_options(add)


def _add_ingest(actions: Subparsers) -> None:
    add = verb(
        actions,
        "ingest",
        ingest,
        "Read a dataset's raw files into shards. The same command again goes on, also after a kill.",
        "clef-ray ingest --list\n"
        "  clef-ray ingest ptbxl --root /data/ptbxl --out storage/shards/ptbxl --fs 500\n"
        "  clef-ray ingest cinc2017 --root /data/cinc2017 --out storage/shards/cinc2017 --set seconds=30 --set pad=true\n"
        "  clef-ray ingest ptbxl --root /data/ptbxl --out s3://bucket/ptbxl --quality amplitude_mv=30 --filters notch=50\n"
        "  clef-ray ingest generic --map my.yaml --preview",
    )
    names = ", ".join(n for n in DATASETS.names() if n != "synthetic")
    add("dataset", nargs="?", metavar="DATASET", help=f"one of: {names}")
    add(
        "--list",
        action="store_true",
        help="print every dataset: access, licence, counts, covariates, options",
    )
    add("--root", metavar="DIR", help="the dataset's folder as published")
    add("--out", metavar="DIR", help="folder of the shards, path or URI")
    add("--map", metavar="FILE", help="of generic: the YAML file that describes your folder and its table")
    add("--map-help", action=MapHelp, help="print every key of such a file in an example, and exit")
    add(
        "--preview",
        action="store_true",
        help="ingest nothing: print what is understood and draw three records as on ECG paper",
    )
    add("--preview-out", default="", metavar="PNG", help="the picture's file (default: DATASET-preview.png)")
    add(
        "--fs",
        type=float,
        metavar="HZ",
        help="sampling rate of the shards (default: the dataset's own; of ptbxl 100, or 500)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the dataset, see --list; repeatable",
    )
    add(
        "--quality",
        action="append",
        default=[],
        metavar="LIMIT=VALUE",
        help=f"when a record is set aside ({_fields(Quality())}); repeatable",
    )
    add(
        "--filters",
        action="append",
        default=[],
        metavar="FILTER=VALUE",
        help="filter the samples before they are stored: notch=50, band=0.5,40 (default: neither; training filters as it reads)",
    )
    add(
        "--max-bad",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="stop when more than this share is unusable (default: 0.05)",
    )
    _add_ingest_options(add)


def _fields(section: Any) -> str:
    return ", ".join(f"{field.name}={getattr(section, field.name)}" for field in fields(section))


def _add_ingest_options(add: Any) -> None:
    add("--json", action="store_true", help="print the manifest's keys as JSON and nothing else")
    add("--address", metavar="HOST:PORT", help="a running Ray cluster, or `auto` (default: a local Ray)")


def _add_score(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "score",
        help="Clinical scores of a table of patients.",
        description=_SCORE,
        epilog="examples:\n  clef-ray score --list\n"
        "  clef-ray score --score score2 --region low --units mg/dL --input patients.csv --output scored.csv\n"
        "  clef-ray score --score prevent --set outcome=hf --impute median --input patients.parquet --output scored.parquet",
    )
    parser.set_defaults(action=score)
    what, add = parser.add_mutually_exclusive_group(required=True), parser.add_argument
    what.add_argument("--score", metavar="NAME", help="which score")
    what.add_argument("--list", action="store_true", help="print all scores with their columns and options")
    add("--input", metavar="FILE", help="table of patients, .csv or .parquet")
    add("--output", metavar="FILE", help="where the table with the score goes, .csv or .parquet")
    add(
        "--region",
        help="risk region, of scores that have them: low, moderate, high, very_high (default: the score's)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the score; repeatable",
    )
    add(
        "--units",
        choices=("mmol/L", "mg/dL"),
        default="mmol/L",
        help="unit of total_cholesterol and hdl (default: mmol/L)",
    )
    add(
        "--hba1c-unit",
        choices=("mmol/mol", "%"),
        default="mmol/mol",
        help="unit of hba1c (default: mmol/mol)",
    )
    add(
        "--impute",
        choices=("none", "centre", "median", "age_sex_median", "iterative"),
        default="none",
        help="how unknown values other than age, sex, black and findings are filled; what is learned is learned from the file "
        "(default: none)",
    )
    add(
        "--implausible",
        choices=("refuse", "flag"),
        default="refuse",
        help="what a value that no person can have does: stop, or count as unknown and make the row not valid (default: refuse)",
    )


def _add_pretrain(actions: Subparsers) -> None:
    from clef_ray.cli.options import add_micro_batch

    add = verb(
        actions,
        "pretrain",
        pretrain,
        "Pretrain one encoder in this process, without Ray.",
        "clef-ray pretrain --data synthetic:patients=300 --set signals.fs=100 --set optimiser.epochs=2",
    )
    _add_data(add)
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, e.g. loss.alpha=0.1, method=simclr; repeatable",
    )
    add("--seed", type=int, default=0, help="seed (default: 0)")
    add_micro_batch(add)
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: auto)")


def _add_evaluate(actions: Subparsers) -> None:
    add = verb(
        actions,
        "evaluate",
        evaluate,
        "Judge a trained encoder by downstream tasks.",
        "clef-ray evaluate latest --data synthetic:patients=300 --tasks diagnosis score_spearman\n"
        "  clef-ray evaluate storage/runs/3f2a... --data /data/ptbxl --target cinc2017=/data/cinc2017 --tasks diagnosis cinc2017_rhythm",
    )
    add("run", metavar="RUN", help="a run's folder (what `clef-ray pretrain` printed), or `latest`")
    _add_data(add)
    add(
        "--target",
        action="append",
        default=[],
        metavar="NAME=DATA",
        help="judge it on this corpus, too, beside --data, the one it was pretrained on; metrics begin with NAME/; repeatable",
    )
    add(
        "--tasks",
        nargs="+",
        default=["diagnosis", "score_spearman"],
        metavar="TASK",
        help="NAME or NAME:option=value,... (default: diagnosis score_spearman)",
    )
    add(
        "--json",
        action="store_true",
        help="print the metrics as JSON and nothing else; what was found of leakage goes to standard error",
    )
    add("--device", default="auto", help="cpu, cuda, ... (default: auto)")
    add(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="make the embeddings on N Ray workers, of the cluster that RAY_ADDRESS names or of this machine (default: in this process)",
    )


def _add_data(add: Any) -> None:
    add(
        "--data",
        default="synthetic",
        metavar="PATH|URI|NAME",
        help="shards, a dataset's folder, or NAME[:key=value,...] (default: synthetic)",
    )
    add("--storage", default="storage", metavar="URI", help="where shards and runs lie (default: storage)")
