"""What the ECG machine said: its intervals and axes as targets, its statements as label sets (machine_measurements.csv)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clef_ray.datasets._mimic_codes import rhythm, verdict
from clef_ray.datasets._mimic_tables import ID, NUMBER, WORD, scan, translate
from clef_ray.errors import DataError

#: The machine's way to say that it did not measure.
MISSING = (29999, 32767)

#: Target -> unit, plausible range, and its columns: one, or two of which it is the second minus the first.
MEASUREMENTS: dict[str, tuple[str, float, float, tuple[str, ...]]] = {
    "rr_interval": ("ms", 200, 3000, ("rr_interval",)),  # 20 to 300 beats per minute
    "pr_interval": ("ms", 40, 600, ("p_onset", "qrs_onset")),
    "qrs_duration": ("ms", 20, 400, ("qrs_onset", "qrs_end")),
    "qt_interval": ("ms", 150, 1000, ("qrs_onset", "t_end")),
    "p_axis": ("degrees", -180, 360, ("p_axis",)),
    "qrs_axis": ("degrees", -180, 360, ("qrs_axis",)),
    "t_axis": ("degrees", -180, 360, ("t_axis",)),
}

_COLUMNS = sorted({column for *_, columns in MEASUREMENTS.values() for column in columns})
_REPORTS = tuple(f"report_{place}" for place in range(18))


def read_machine(path: Path, study_N: NDArray[np.int64]) -> tuple[pd.DataFrame, dict[str, int]]:
    """For each study its targets (NaN unknown), `verdict` and `rhythm` (places in VERDICTS and RHYTHMS, -1 where no statement says one),
    and per target how many values were left out as implausible. A study that the table lacks is unknown in all.

    DataError: a column is missing, a study stands in two rows, or a value is no number.
    """
    kinds = {"study_id": ID, **dict.fromkeys(_COLUMNS, NUMBER), **dict.fromkeys(_REPORTS, WORD)}
    frames = [_block(batch) for batch in scan(path, kinds)]
    table = pd.concat(frames, ignore_index=True) if frames else _empty()
    if twice := int(table["study_id"].duplicated().sum()):
        raise DataError(f"{path}: {twice} of {len(table)} rows repeat the study_id of another")
    mine = table.set_index("study_id").reindex(study_N)
    said = mine[["verdict", "rhythm"]].fillna(-1).astype(np.int8).reset_index(drop=True)
    targets, left_out = {}, {}
    for name, (_, low, high, columns) in MEASUREMENTS.items():
        values = [mine[column].to_numpy(dtype=np.float64) for column in columns]
        value_N = values[0] if len(values) == 1 else values[1] - values[0]
        wrong_N = (value_N < low) | (value_N > high)
        targets[name], left_out[name] = np.where(wrong_N, np.nan, value_N), int(wrong_N.sum())
    return pd.DataFrame(targets).join(said), {name: count for name, count in left_out.items() if count}


def _block(batch: pa.RecordBatch) -> pd.DataFrame:
    frame: dict[str, NDArray[Any]] = {"study_id": batch["study_id"].to_numpy(zero_copy_only=False)}
    for column in _COLUMNS:
        value_N = batch[column].to_numpy(zero_copy_only=False).astype(np.float64)
        frame[column] = np.where(np.isin(value_N, MISSING), np.nan, value_N)
    last_N = np.full(batch.num_rows, -1, dtype=np.int64)
    first_N = last_N.copy()
    for column in _REPORTS:
        # The summary is the last statement; the rhythm is the first, and what follows are its details.
        said_N, beats_N = translate(batch[column], verdict), translate(batch[column], rhythm)
        last_N = np.where(said_N >= 0, said_N, last_N)
        first_N = np.where(first_N >= 0, first_N, beats_N)
    return pd.DataFrame({**frame, "verdict": last_N.astype(np.int8), "rhythm": first_N.astype(np.int8)})


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=["study_id", *_COLUMNS, "verdict", "rhythm"], dtype=np.float64)


def labels(place_N: NDArray[np.int8], classes: tuple[str, ...]) -> NDArray[np.object_]:
    """The column of a label set with one class per record: a list of its name, None where the place is -1."""
    column = np.empty(len(classes) + 1, dtype=object)
    column[:-1] = [[name] for name in classes]
    chosen: NDArray[np.object_] = column[place_N]
    return chosen
