"""The verb about encoders in other programs: export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from clef_ray.export import Quantised
    from clef_ray.weights import Weights

Subparsers = Any  # argparse keeps its type private

_ABOUT = """\
A trained or a published encoder as a file for other programs.

  onnx   for onnxruntime and what reads ONNX; any batch, any length; checked with onnxruntime on several of both before it is written
  torch  for PyTorch without clef_ray: torch.export.load(FILE).module(); checked likewise
  int8   ONNX with 8-bit weights for small devices; prints what that costs in accuracy and takes in time on one core

The input is float32 [batch, leads, samples]: windows at the encoder's rate after its band-pass, in mV or any linear unit. The z-score is inside the
file, the band-pass is not; the file's metadata say which one, the rate, the seconds, the leads and where the weights are from. All is done on the CPU."""

_EXAMPLES = """\
examples:
  clef-ray export storage/runs/3f2a... --format onnx --out encoder.onnx
  clef-ray export clef_small.ckpt --format torch --out clef_small.pt2
  clef-ray export hf://owner/name --format int8 --out encoder-int8.onnx --records /data/ptbxl/records500 --lead II"""


def add_all(actions: Subparsers) -> None:
    """Every verb of this kind."""
    parser = actions.add_parser(
        "export",
        help="An encoder as ONNX, torch.export or int8 file.",
        description=_ABOUT,
        epilog=_EXAMPLES,
    )
    parser.set_defaults(action=_export)
    add = parser.add_argument
    add(
        "weights",
        metavar="RUN|FILE|hf://...",
        help="a run's folder, a .safetensors file of clef_ray, a released checkpoint, or hf://owner/name[/file][@revision]",
    )
    add("--format", required=True, choices=("onnx", "torch", "int8"), help="which kind of file")
    add("--out", required=True, metavar="FILE", help="the file: .onnx, or .pt2 of format torch")
    add(
        "--records",
        nargs="+",
        default=[],
        metavar="RECORDS",
        help="int8: compare on these, WFDB as `clef-ray embed` takes them (default: 64 synthetic patients)",
    )
    add("--lead", metavar="LEAD", help="int8: which lead of --records (default: the encoder's, else I)")


def _export(arguments: argparse.Namespace) -> int:
    from clef_ray.errors import ConfigError
    from clef_ray.export import check_name, export, quantised

    check_name(arguments.format, arguments.out)
    if arguments.format != "int8" and (arguments.records or arguments.lead):
        raise ConfigError("--records and --lead: only --format int8 compares on records")
    weights = read(arguments.weights)
    if arguments.format == "int8":
        signals = _windows(weights, arguments.records, arguments.lead)
        _print(
            quantised(weights, arguments.out, signals), arguments.out, len(signals), bool(arguments.records)
        )
    else:
        difference = export(weights, arguments.format, arguments.out)
        size = Path(arguments.out).stat().st_size / 1e6
        print(f"{arguments.out}: {size:.2f} MB; largest difference from the encoder {difference:.1e}")
    return 0


def read(where: str) -> "Weights":
    """An encoder of a run's folder (or its encoder.pt), of a file, or of a hub."""
    from clef_ray.distributed import load_state
    from clef_ray.evaluate.embedder import Embedder, is_run
    from clef_ray.store import Store
    from clef_ray.train.loop import ENCODER
    from clef_ray.weights import Weights, read_weights

    if not is_run(where):
        return read_weights(where)
    embedder = Embedder.load(where, "cpu")
    folder = where.removesuffix(ENCODER) or "."
    leads = tuple(map(str, load_state(Store(folder), ENCODER)["leads"]))
    return Weights.of_run(embedder.encoder, embedder.run, leads)


def _windows(weights: "Weights", records: list[str], lead: str | None) -> "Tensor":
    from clef_ray.cli.recordings import find
    from clef_ray.cli.recordings import read as read_record
    from clef_ray.datasets import UnreadableError, lead_name
    from clef_ray.errors import ConfigError
    from clef_ray.export.programme import leads_of
    from clef_ray.export.windows import made_up, windows

    if not records:
        return made_up(weights, 64)
    if leads_of(weights) != 1:
        raise ConfigError(f"--records: this encoder takes {leads_of(weights)} leads at once; leave it out")
    wanted = lead_name(lead or (weights.leads[0] if len(weights.leads) == 1 else "I"))
    kept = []
    for path in find(records):
        try:
            one = read_record(path, wanted)
        except UnreadableError as error:
            print(f"left out: {path}: {error.reason}: {error.detail}")
            continue
        kept.append((one.mv_T[None], one.fs))
    return windows(weights, kept)


def _print(made: "Quantised", out: str, windows: int, real: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from clef_ray.bench.measure import machine

    table = Table("file", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("kB", "ms per window", "cosine, median", "lowest"):
        table.add_column(heading, justify="right")
    cosine = made.cosine_N
    for name, side, shown in (
        ("float32 (not kept)", made.float32, ("", "")),
        (out, made.int8, (f"{float(cosine.median()):.6f}", f"{float(cosine.min()):.6f}")),
    ):
        table.add_row(name, f"{side.size / 1e3:,.0f}", f"{side.milliseconds:.2f}", *shown)
    console = Console()
    console.print(table)
    where = machine()
    console.print(
        f"cosine similarity of the embeddings of {windows} {'recorded' if real else 'synthetic'} windows; ms: median of {made.rounds} calls in turns, "
        f"one window at a time, on one thread of {where['cpu']}, load {where['load']}, {where['date']}",
        highlight=False,
    )
