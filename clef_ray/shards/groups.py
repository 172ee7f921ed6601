"""Row groups of a part, with their samples where they lie in the file: nothing of them is read before it is wanted."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from clef_ray.parquet import open_parquet
from clef_ray.shards.decode import Encoded, per_record
from clef_ray.shards.page import HEAD, values_start
from clef_ray.shards.schema import Shape

_PER_LEAD = ["gain", "baseline"]


def read_groups(source: BinaryIO | pa.NativeFile, groups: list[int], shape: Shape) -> Iterator[Encoded]:
    """The row groups `groups` of the part `source`, one after the other.

    Where samples do not lie in one piece (in parts that another program wrote), Parquet's reader puts them together. An object store is
    asked for all of a row group's samples at once: each request takes longer than they do.
    """
    file = open_parquet(source, "a part of shards")
    scales = file.read_row_groups(groups, columns=_PER_LEAD, use_threads=False)  # a few kB
    gain_NC, baseline_NC = (per_record(scales.column(name), len(shape.leads)) for name in _PER_LEAD)
    end = 0
    for group in groups:
        start, end = end, end + file.metadata.row_group(group).num_rows
        lying = _lying(source, file, group, 2 * len(shape.leads) * shape.samples)
        if lying is None:
            yield Encoded.of_table(file.read_row_group(group, columns=["signal", *_PER_LEAD]), shape)
        else:
            yield Encoded(*lying, gain_NC[start:end], baseline_NC[start:end])


def _lying(
    source: BinaryIO | pa.NativeFile, file: pq.ParquetFile, group: int, width: int
) -> tuple[BinaryIO | pa.NativeFile, int] | None:
    """From what and from where on the row group's records, `width` bytes each, can be read; None where they do not lie in one piece."""
    column = file.schema.names.index("signal")
    kind, chunk = file.schema.column(column), file.metadata.row_group(group).column(column)
    if (kind.physical_type, kind.length, kind.max_repetition_level) != ("FIXED_LEN_BYTE_ARRAY", width, 0):
        return None
    if chunk.compression != "UNCOMPRESSED":
        return None
    begin, size = chunk.data_page_offset, chunk.total_compressed_size
    source.seek(begin)
    if isinstance(source, pa.NativeFile):
        data = source.read_buffer(size)
        source, begin, head = pa.BufferReader(data), 0, data[:HEAD].to_pybytes()
    else:
        head = source.read(HEAD)
    start = values_start(head, size, chunk.num_values, width, nullable=kind.max_definition_level > 0)
    return None if start is None else (source, begin + start)
