"""The verb about trained encoders: embed. What it does stands in embed.py."""

import argparse
from typing import Any

Subparsers = Any  # argparse keeps its type private

_ABOUT = """\
One vector per record, by an encoder of clef_ray or a published one (CLEF, one-lead ECGFounder), as Parquet.

Columns: record, lead, embedding (a list of float32), seconds (how long the record is). Records are WFDB of any rate and length from 2 s on;
they are resampled, band-passed and scaled as in the encoder's training, and what is longer than its window is cut into whole windows whose
vectors are averaged. A record that cannot be used is counted by reason and listed at the end, and the exit code is 1."""

_EXAMPLES = """\
examples:
  clef-ray embed --weights clef_small.ckpt --input /data/ptbxl/records500 --out ptbxl.parquet
  clef-ray embed --weights storage/runs/3f2a... --input /data/mitdb/RECORDS --lead MLII --out mitdb.parquet
  clef-ray embed --weights hf://owner/name --input a/one b/two.hea --lead II --out two.parquet
  clef-ray embed --weights hf://PKUDigitalHealth/ECGFounder/1_lead_ECGFounder.pth --input storage/shards/demo --out demo.parquet"""


def add_all(actions: Subparsers) -> None:
    """Every verb of this kind."""
    parser = actions.add_parser(
        "embed",
        help="One vector per record, by a trained or a published encoder.",
        description=_ABOUT,
        epilog=_EXAMPLES,
    )
    parser.set_defaults(action=_embed)
    add = parser.add_argument
    add(
        "--weights",
        required=True,
        metavar="FILE|RUN|hf://...",
        help="a released checkpoint (.ckpt, .pth), a .safetensors file of clef_ray, a run's folder, or hf://owner/name[/file][@revision]",
    )
    add(
        "--input",
        required=True,
        nargs="+",
        metavar="RECORDS",
        help="folders (every .hea below), RECORDS lists, records with or without .hea, or folders of shards",
    )
    add("--out", required=True, metavar="FILE", help="the table, .parquet")
    add("--lead", default="I", metavar="LEAD", help="which lead, by its name in the records (default: I)")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: auto)")
    add("--batch", type=int, default=64, metavar="N", help="most records at once (default: 64)")


def _embed(arguments: argparse.Namespace) -> int:
    from clef_ray.cli.embed import run

    return run(arguments)
