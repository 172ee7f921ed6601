"""Windows of long recordings: which beats and rhythms are annotated, and where a window may begin."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clef_ray.datasets import COVARIATES
from clef_ray.datasets._annotations import Annotations

#: Annotation symbol -> AAMI class (ANSI/AAMI EC57, as de Chazal et al., IEEE Trans Biomed Eng 2004;51:1196 apply it to the MIT-BIH
#: database). Other marks are no beats (rhythm, noise, ventricular flutter waves) or of no class there, and carry no label.
AAMI: Mapping[str, str] = {
    **dict.fromkeys("NLRej", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VE", "V"),
    "F": "F",
    **dict.fromkeys("/fQ", "Q"),
}


def beats(marks: Annotations, classes: Mapping[str, str]) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """The beats whose symbol has a class: their samples, ascending and each once, and their classes."""
    names = ["", *dict.fromkeys(classes.values())]
    of = np.zeros(128, dtype=np.int64)  # by the symbol's character code: comparing texts is ten times as slow
    for symbol, name in classes.items():
        of[ord(symbol)] = names.index(name)
    index_N = of[np.ascontiguousarray(marks.symbol_N).view(np.uint32)]
    sample_B, class_B = marks.sample_N[index_N > 0], np.array(names)[index_N[index_N > 0]]
    if (np.diff(sample_B) > 0).all():
        return sample_B, class_B
    sample_B, first_B = np.unique(sample_B, return_index=True)
    return sample_B, class_B[first_B]


def rhythms(marks: Annotations, length: int) -> Iterator[tuple[int, int, str]]:
    """(first sample, sample after the last, name) of each annotated rhythm: from "(NAME" to ")", the next rhythm or the end."""
    begun: tuple[int, str] | None = None
    for position, text in sorted(marks.notes.items()):
        if not text.startswith(("(", ")")):
            continue
        at = int(marks.sample_N[position])
        if begun is not None and at > begun[0]:
            yield begun[0], at, begun[1]
        begun = (at, text[1:]) if text.startswith("(") else None
    if begun is not None and begun[0] < length:
        yield begun[0], length, begun[1]


def rhythm_of(marks: Annotations, start: int, stop: int) -> str | None:
    """The rhythm that is annotated for the whole window [start, stop), None where there is none or it changes within."""
    names = {name for first, last, name in rhythms(marks, stop) if first <= start and last >= stop}
    return names.pop() if len(names) == 1 else None


def occurring(
    sample_B: NDArray[np.int64], class_B: NDArray[np.str_], start: int, stop: int
) -> set[str] | None:
    """The classes of the beats within [start, stop), None where there is no beat."""
    low, high = np.searchsorted(sample_B, (start, stop))
    return set(class_B[low:high].tolist()) or None


def regular(length: int, window: int) -> NDArray[np.int64]:
    """Where windows begin that lie side by side from the recording's start; the remainder at its end is left out."""
    return np.arange(0, length - window + 1, window, dtype=np.int64)


def centred(sample_B: NDArray[np.int64], length: int, window: int) -> NDArray[np.int64]:
    """Where a window begins that has the beat in its middle, at its sample `window // 2`; -1 where it would not fit."""
    start_B = sample_B - window // 2
    return np.where((start_B >= 0) & (start_B + window <= length), start_B, -1)


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random stream of its own for each combination of seed and names, the same on every machine."""
    text = "/".join((str(seed), *names)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))


def some(rng: np.random.Generator, values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the values, in their order; all of them where `count` is 0."""
    if not 0 < count < len(values):
        return values
    return values[np.sort(rng.choice(len(values), size=count, replace=False))]


def window_table(rows: pd.DataFrame, digits: int, label_sets: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The table of a dataset whose rows are windows, sorted by record.

    rows: columns `recording`, `patient`, `fold`, `file`, `start` and label_<set> as sets of class names or None, and any more; digits:
    width of `start` in the record's name "<recording>-<start>". Covariates that are not among the columns are unknown.
    """
    table = rows.reset_index(drop=True)
    names = zip(table["recording"], table["start"], strict=True)
    table.insert(0, "record", [f"{recording}-{start:0{digits}d}" for recording, start in names])
    for name, classes in label_sets.items():
        ordered = [
            None if found is None else sorted(found, key=classes.index) for found in table[f"label_{name}"]
        ]
        table[f"label_{name}"] = pd.Series(ordered, index=table.index, dtype=object)
    unknown = [name for name in COVARIATES if name not in table]
    table[unknown] = np.nan
    return table.drop(columns="recording").sort_values("record", ignore_index=True)
