"""Parquet files as they are opened everywhere here: as tables of plain values, whatever a stranger has written into them.

A column may say that it is of a type that a Python package brings along (an Arrow extension type). Ray Data brings one that holds pickles and
unpickles them when the column becomes a pandas column: with Ray Data imported, reading such a file would run what its author likes.
"""

from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from clef_ray.errors import DataError


def open_parquet(source: Path | BinaryIO | pa.NativeFile, name: str) -> pq.ParquetFile:
    """The file, opened; its columns are of Arrow's own types. name: how an error calls it.

    DataError: a column, or what is nested in it, is of a type whose code is not Arrow's. pa.ArrowInvalid: no Parquet file.
    """
    file = pq.ParquetFile(source)
    for field in file.schema_arrow:
        if (foreign := _foreign(field.type)) is not None:
            raise DataError(
                f"{name}: column {field.name!r} is of type {foreign.extension_name}, which a Python package defines; reading it could run code, so "
                "it is not read. Whoever made the file can write the column as numbers or text"
            )
    return file


def _foreign(kind: pa.DataType) -> pa.ExtensionType | None:
    """The type itself, or one inside it, that is defined in Python; Arrow's own extension types (UUID, JSON) are not."""
    if isinstance(kind, pa.ExtensionType):
        return kind
    if isinstance(kind, pa.DictionaryType):
        return _foreign(kind.value_type)
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    return next((found for each in inner if (found := _foreign(each)) is not None), None)
