"""`clef-ray embed`: one vector per record, by a trained or a published encoder."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from clef_ray.cli.recordings import Recording, find, read
from clef_ray.config import to_dict
from clef_ray.datasets import LEADS, UnreadableError, lead_name
from clef_ray.errors import ConfigError, StorageError
from clef_ray.evaluate.embedder import Embedder, is_run
from clef_ray.shards import Manifest, read_rows, read_table
from clef_ray.shards.manifest import MANIFEST
from clef_ray.store import Store
from clef_ray.weights import read_weights

#: Records with one problem that are named; the rest is counted.
NAMED = 5

#: Records of shards that are read together.
AT_ONCE = 256


def run(arguments: argparse.Namespace) -> int:
    """0: every record was embedded; 1: some were not (counted by reason). See `clef-ray embed --help`."""
    out, lead = Path(arguments.out), lead_name(arguments.lead)
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: the name must end in .parquet")
    if arguments.batch < 1:
        raise ConfigError(f"--batch {arguments.batch}: at least 1")
    shards = [name for name in arguments.input if Store(name).exists(MANIFEST)]
    records = find([name for name in arguments.input if name not in shards])
    embedder, origin = _embedder(arguments.weights, arguments.device)
    total = len(records) + sum(Manifest.load(folder).records for folder in shards)
    failed: dict[str, list[str]] = {}
    with _writer(out, embedder, origin) as writer, _bar() as bar:
        task = bar.add_task("embedding", total=total)
        stream = _all(records, shards, lead, embedder, failed)
        done = 0
        for group in _batches(stream, arguments.batch, embedder.run.signals.seconds):
            writer.write_table(_rows(group, lead, _embedded(embedder, group, lead)))
            done += len(group)
            bar.update(task, completed=done + sum(map(len, failed.values())))
    print(f"{out}: {done} of {total} records, lead {lead}, {embedder.dim} numbers each")
    _tell(failed)
    return 1 if failed else 0


def _embedder(where: str, device: str) -> tuple[Embedder, dict[str, str]]:
    """The encoder, and what the output says of it."""
    if is_run(where):
        embedder, told = Embedder.load(where, device), {"weights": where}
    else:
        weights = read_weights(where)
        embedder = Embedder(weights.encoder, weights.run(), device)
        told = {"weights": weights.source, "sha256": weights.sha256 or ""}
    leads = dict(embedder.run.encoder.options).get("in_leads", 1)
    if leads != 1:
        raise ConfigError(
            f"--weights {where}: this encoder takes {leads} leads at once; `embed` gives it one"
        )
    run = embedder.run
    told |= {"encoder": json.dumps(to_dict(run.encoder)), "signals": json.dumps(to_dict(run.signals))}
    return embedder, told


def _all(
    records: Sequence[Path],
    shards: Sequence[str],
    lead: str,
    embedder: Embedder,
    failed: dict[str, list[str]],
) -> Iterator[Recording]:
    """Every record that can be used; the others go to `failed`, reason -> "record: detail"."""
    for path in records:
        try:
            yield read(path, lead)
        except UnreadableError as error:
            failed.setdefault(error.reason, []).append(f"{path}: {error.detail}")
    fs = embedder.run.signals.fs
    for folder in shards:
        names_N = read_table(folder)["record"].to_numpy()
        for first in range(0, len(names_N), AT_ONCE):
            rows = np.arange(first, min(first + AT_ONCE, len(names_N)))
            mv_NT = read_rows(folder, rows, fs, (lead,)).millivolts()[:, 0]
            for name, mv_T in zip(names_N[rows], mv_NT, strict=True):
                yield Recording(str(name), fs, mv_T)


def _batches(stream: Iterator[Recording], batch: int, seconds: float) -> Iterator[list[Recording]]:
    """Records side by side that have one rate and one length, at most `batch` of them, and no more signal than as many windows of `seconds`."""
    group: list[Recording] = []
    for record in stream:
        fits = group and (record.fs, len(record.mv_T)) == (group[0].fs, len(group[0].mv_T))
        length = len(record.mv_T) / record.fs
        if group and not (fits and len(group) < batch and (len(group) + 1) * length <= batch * seconds):
            yield group
            group = []
        group.append(record)
    if group:
        yield group


def _embedded(embedder: Embedder, group: Sequence[Recording], lead: str) -> NDArray[np.float32]:
    """[records, dim]."""
    # The embedder warns of a lead that the encoder was not trained on; it knows the twelve standard ones.
    trained = embedder.run.views.lead
    known = lead if lead in LEADS else trained if trained in LEADS else LEADS[0]
    return embedder.embed(np.stack([record.mv_T for record in group]), fs=group[0].fs, lead=known)


def _schema(dim: int, origin: dict[str, str]) -> pa.Schema:
    columns = {
        "record": pa.string(),
        "lead": pa.string(),
        "embedding": pa.list_(pa.float32(), dim),
        "seconds": pa.float64(),
    }
    return pa.schema(list(columns.items()), metadata=origin)


def _rows(group: Sequence[Recording], lead: str, z_ND: NDArray[np.float32]) -> pa.Table:
    flat = pa.array(np.ascontiguousarray(z_ND).ravel())
    columns = {
        "record": pa.array([record.name for record in group]),
        "lead": pa.array([lead] * len(group)),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, z_ND.shape[1]),
        "seconds": pa.array([len(record.mv_T) / record.fs for record in group]),
    }
    return pa.table(columns)


@contextmanager
def _writer(out: Path, embedder: Embedder, origin: dict[str, str]) -> Iterator[pq.ParquetWriter]:
    """Rows go into a file beside `out`, which becomes `out` once all are there; nothing is left of it after an error."""
    schema = _schema(embedder.dim, origin)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(unfinished, schema) as writer:
            yield writer
        unfinished.replace(out)
    except OSError as error:
        raise StorageError(f"--out {out} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _tell(failed: dict[str, list[str]]) -> None:
    for reason, details in sorted(failed.items(), key=lambda item: -len(item[1])):
        print(f"not embedded, {reason}: {len(details)}", file=sys.stderr)
        for detail in details[:NAMED]:
            print(f"  {detail}", file=sys.stderr)
        if len(details) > NAMED:
            print(f"  and {len(details) - NAMED} more", file=sys.stderr)
