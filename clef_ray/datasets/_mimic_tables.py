"""Tables of gigabytes in one pass: of each block only the wanted columns are parsed, and what a reader keeps of it is all that stays."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from clef_ray.errors import DataError

#: Bytes of text per block. Some blocks are in flight at once (pyarrow reads ahead), so this bounds the memory of a pass.
BLOCK = 8 << 20

#: Column types of MIMIC-IV: identifiers fit into 32 bits, times are whole seconds; words that repeat are stored once per block.
ID, NUMBER, TEXT = pa.int32(), pa.float64(), pa.string()
TIME, DATE = pa.timestamp("s"), pa.date32()
WORD = pa.dictionary(pa.int32(), pa.string())


def find(option: str, folder: str, name: str) -> Path:
    """The table `name` of a folder: name.csv or name.csv.gz. DataError: no such folder, or neither file is there.

    option: which option named the folder, for the message.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{option}: no such folder: {root}")
    for path in (root / f"{name}.csv", root / f"{name}.csv.gz"):
        if path.is_file():
            return path
    raise DataError(f"{option}: {root} has neither {name}.csv nor {name}.csv.gz")


def scan(path: Path, columns: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """The blocks of a CSV (a name in .gz is decompressed on the way), only `columns`, each as its type, empty = null.

    DataError: no such file, a column is missing, a value is not of its column's type (which value is not said), or the file ends early.
    """
    reading = pcsv.ReadOptions(block_size=BLOCK)
    parsing = pcsv.ParseOptions(newlines_in_values=True)  # free text may hold line breaks
    converting = pcsv.ConvertOptions(
        include_columns=list(columns), column_types=dict(columns), strings_can_be_null=True
    )
    try:
        with pcsv.open_csv(path, reading, parsing, converting) as reader:
            yield from reader
    except FileNotFoundError:
        raise DataError(f"{path.parent} lacks {path.name}") from None
    except KeyError as error:
        missing = ", ".join(re.findall(r"Column '(.*?)' in include_columns", str(error)))
        raise DataError(f"{path} lacks the column {missing}; needed are {', '.join(columns)}") from None
    except pa.ArrowInvalid as error:
        # What pyarrow says quotes the value or the row: a patient's. So it is neither passed on nor chained.
        raise DataError(f"{path}: {_without_values(str(error), columns)}") from None
    except OSError:
        raise DataError(f"{path} cannot be read to its end; was it copied or downloaded in part?") from None


def _without_values(message: str, columns: Mapping[str, pa.DataType]) -> str:
    if kind := re.search(r"conversion error to ([\w\[\]]+)", message):
        suspects = [name for name, of in columns.items() if kind[1] in (str(of), "string")]
        return f"a value that is not {kind[1]} in one of the columns {', '.join(suspects)}"
    if "Expected" in message:
        return "a row with another number of fields than the first line"
    return "not a CSV with a line of column names"


def of_subjects(
    path: Path,
    columns: Mapping[str, pa.DataType],
    subjects: pa.Array,
    also: Callable[[pa.RecordBatch], pa.Array] | None = None,
) -> pd.DataFrame:
    """The rows of a table whose `subject_id` is one of `subjects`, and of which `also` (of a block, a boolean per row) is true.

    Columns as in `scan`, of which `subject_id` must be one, here named `subject`.
    """
    kept = []
    for batch in scan(path, columns):
        mask = pc.is_in(batch["subject_id"], value_set=subjects)
        kept.append(batch.filter(mask if also is None else pc.and_kleene(mask, also(batch))))
    table: pd.DataFrame = pa.Table.from_batches(kept, pa.schema(columns.items())).to_pandas()
    return table.rename(columns={"subject_id": "subject"})


def translate(words: pa.Array, meaning: Callable[[str], int]) -> NDArray[np.int64]:
    """Of each entry of a WORD column the number it stands for, -1 where null: each distinct word is looked up once per block."""
    known = np.full(len(words.dictionary) + 1, -1, dtype=np.int64)
    known[:-1] = [meaning(word) for word in words.dictionary.to_pylist()]
    indices_N = words.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
    found_N: NDArray[np.int64] = known[indices_N]
    return found_N
