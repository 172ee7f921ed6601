"""WFDB annotation files (.atr) read by NumPy: wfdb's own reader takes 10 ms for half an hour, and Icentia11k has 550,000 of them.

The format (WFDB Applications Guide, annot(5), "MIT format"): 16-bit little-endian words, 6 bits of code above 10 bits of interval since
the annotation before. SKIP is followed by a 32-bit interval, its high word first; AUX by that many bytes of text for the annotation
before it, padded to a whole word; a word of zero ends the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clef_ray.datasets import MISSING_FILE, UnreadableError

_SKIP, _AUX = 59, 63
#: Codes from here on say something about another annotation (SKIP, NUM, SUB, CHN, AUX); their 10 bits are no interval.
_FIRST_MODIFIER = 50
#: The reason of an UnreadableError for a file that is no annotation file.
ANNOTATIONS = "annotations"


@dataclass(frozen=True, slots=True)
class Annotations:
    """What an annotation file marks, in its order.

    sample_N: int64, samples from the recording's start; symbol_N: one character each, as wfdb writes them ("N", "V", "+", ...);
    notes: position in the arrays -> text, for those that have one.
    """

    sample_N: NDArray[np.int64]
    symbol_N: NDArray[np.str_]
    notes: Mapping[int, str]


def read_annotations(path: Path) -> Annotations:
    """The annotations (.atr) of the record at `path` (without extension). UnreadableError: "missing file", or "annotations" (cut off)."""
    file = path.with_name(f"{path.name}.atr")
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableError(MISSING_FILE, file.name) from error
    if len(data) % 2:
        raise UnreadableError(ANNOTATIONS, f"{file.name}: an odd number of bytes")
    word_N = np.frombuffer(data, dtype="<u2")
    code_N = word_N >> 10
    step_N = np.where(code_N < _FIRST_MODIFIER, word_N & 1023, 0).astype(np.int64)
    own_N = (code_N > 0) & (code_N < _FIRST_MODIFIER)
    texts: dict[int, str] = {}
    free = 0  # words before this one are the payload of a SKIP or AUX
    for at in np.flatnonzero((code_N == _SKIP) | (code_N == _AUX) | (word_N == 0)).tolist():
        if at < free:
            continue
        if word_N[at] == 0:
            own_N, step_N = own_N[:at], step_N[:at]
            break
        size = 4 if code_N[at] == _SKIP else int(word_N[at] & 1023)
        free = at + 1 + (size + 1) // 2
        if free > len(word_N):
            raise UnreadableError(ANNOTATIONS, f"{file.name}: cut off")
        own_N[at + 1 : free], step_N[at + 1 : free] = False, 0
        payload = data[2 * at + 2 : 2 * at + 2 + size]
        if code_N[at] == _SKIP:
            step_N[at] = int.from_bytes(payload[2:] + payload[:2], "little", signed=True)
        else:
            texts[at] = payload.rstrip(b"\0").decode("latin-1")
    position_N = np.cumsum(own_N) - 1
    return Annotations(
        sample_N=np.cumsum(step_N)[own_N],
        symbol_N=_symbols()[code_N[: len(own_N)][own_N]],
        notes={int(position_N[at]): text for at, text in texts.items() if position_N[at] >= 0},
    )


@cache
def _symbols() -> NDArray[np.str_]:
    """Code -> symbol, from wfdb's table; "" where it knows none."""
    from wfdb.io.annotation import ann_label_table

    names = np.full(_FIRST_MODIFIER, "", dtype="<U1")
    names[ann_label_table["label_store"].to_numpy()] = ann_label_table["symbol"].to_numpy()
    return names
