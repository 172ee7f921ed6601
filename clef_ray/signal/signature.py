"""Which records are the same recording: a hash of 256 bits that survives another rate, gain or rounding, and how to find equal ones.

What is hashed is the slow part of the first ten seconds: sums over blocks of 50 ms, smoothed, and their differences, clipped, so that the
beats do not outweigh what lies between them; two regular rhythms of one rate differ there. Each bit is the sign of the sum of 64 of these
numbers, chosen at random once and for all, each with a random sign. Whatever is added up is whole numbers, and so exact: a signature is the
same on every machine.

Measured on PTB-XL, 1,999 records at 100 Hz against 500 of them at 500 Hz (whose samples PTB-XL shifts by 2 ms against each other): copies
differ in 6 bits (median), 14 (99 %), 20 at most. Of the 1,997,001 pairs at 100 Hz six are copies as well, published under two patients each
(ECGs 137/138, 140/1370, 143/144, 145/463, 456/457, 459/460: 0 bits); the nearest others differ in 46 bits, and downwards from there pairs
become ten times rarer every seven bits or so. By that 800,000 records hold a few hundred pairs within MAX_BITS that are none: two regular
rhythms in step. `same_recording` tells them by the samples: of the 500 copies the least alike correlate at 0.90, of the thirty nearest
other pairs the most alike at 0.48.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from clef_ray.signal import INVALID_SAMPLE, Raw

#: Bytes of a signature.
BYTES = 32

#: Bits in which two copies of one recording may differ.
MAX_BITS = 28

#: Correlation of slopes above which two records are copies.
SAME = 0.8

#: Leads that are looked at, as far as there are any of them: the others follow from these.
_LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")

#: Blocks per second, seconds, and how often two neighbours are added: a smoothing with a standard deviation of 70 ms.
_RATE, _SECONDS, _SMOOTHED = 20, 10, 8

#: Seconds that a record must have to be told from others.
_LEAST_SECONDS = 5

#: Differences are counted in hundredths of their mean size and clipped at half of it.
_UNIT, _CLIP = 100, 50

#: Numbers per lead that bits are made of.
_LENGTH = (_RATE * _SECONDS - _SMOOTHED - 1) // 2

#: Numbers that make one bit.
_ADDED = 64

#: Bits per key and number of keys by which near signatures are looked for. A pair 20 bits apart is missed with a chance of 8e-7, one of
#: MAX_BITS with 1e-3. 800,000 records take a minute and 0.6 GB.
_KEY_BITS, _KEYS = 20, 64


def signature(signal: Raw) -> bytes:
    """32 bytes; all zero where the record has nothing to tell it by (flat, or shorter than 5 s): such records are nobody's copies."""
    rows = [c for c, lead in enumerate(signal.leads) if lead in _LEADS] or list(range(len(signal.leads)))
    raw_CT = signal.raw_CT[rows[: len(_LEADS)], : round(_SECONDS * signal.fs)]
    if raw_CT.shape[1] < _LEAST_SECONDS * signal.fs:
        return bytes(BYTES)
    slow_CK = _slow(raw_CT, signal.fs)
    if not slow_CK.any():
        return bytes(BYTES)
    features = np.zeros((2, len(_LEADS), _LENGTH), dtype=np.int16)
    features[0, : slow_CK.shape[0], : slow_CK.shape[1]] = slow_CK
    np.negative(features[0], out=features[1])
    return np.packbits(features.take(_chosen()).sum(axis=0, dtype=np.int16) > 0).tobytes()


def duplicates(signature_NB: NDArray[np.uint8], max_bits: int = MAX_BITS) -> NDArray[np.int64]:
    """Pairs [P, 2] of rows, first < second, sorted, whose signatures differ in at most `max_bits` bits.

    Of rows with equal signatures the first stands for the others: they make a pair with it and with no other row. All-zero ones make none.
    signature_NB: uint8 [records, 32].
    """
    told = np.flatnonzero(signature_NB.any(axis=1))
    words_NW = np.ascontiguousarray(signature_NB[told]).view(np.uint64)
    _, first, group_N = np.unique(words_NW, axis=0, return_index=True, return_inverse=True)
    leader_N = first[group_N.ravel()]
    follows = np.flatnonzero(leader_N != np.arange(len(told)))
    pairs = [np.stack([leader_N[follows], follows], axis=1)]
    first = np.sort(first)
    pairs += [first[near] for near in _near(words_NW[first], max_bits)]
    found = np.unique(np.concatenate(pairs), axis=0)
    return np.asarray(told[found], dtype=np.int64)


def same_recording(a: Raw, b: Raw) -> bool:
    """Whether two records are copies of one recording, by their samples: in most leads that both have, the slopes of their first ten seconds
    in steps of 20 ms correlate above SAME. What is too short or shares no lead is not.
    """
    seconds = min(_SECONDS, *(signal.raw_CT.shape[1] / signal.fs for signal in (a, b)))
    shared = [lead for lead in a.leads if lead in b.leads]
    if seconds < _LEAST_SECONDS or not shared:
        return False
    slopes = []
    for signal in (a, b):
        rows = [signal.leads.index(lead) for lead in shared]
        slopes.append(np.diff(_blocks(signal.raw_CT[rows], signal.fs, 50, seconds), axis=1))
    x_CK, y_CK = slopes
    together_C = (x_CK * y_CK).sum(axis=1)
    alone_C = np.sqrt((x_CK**2).sum(axis=1) * (y_CK**2).sum(axis=1))
    return bool(np.median(together_C / np.where(alone_C > 0, alone_C, np.inf)) > SAME)


def _slow(raw_CT: NDArray[np.int16], fs: float) -> NDArray[np.float64]:
    """The whole numbers that bits are made of, [leads, at most _LENGTH]."""
    x_CK = _blocks(raw_CT, fs, _RATE, _SECONDS)
    for _ in range(_SMOOTHED):
        x_CK = x_CK[:, 1:] + x_CK[:, :-1]
    x_CK = x_CK[:, 2::2] - x_CK[:, :-2:2]
    size_C = np.abs(x_CK).sum(axis=1) / max(1, x_CK.shape[1])
    x_CK *= (_UNIT / np.where(size_C > 0, size_C, np.inf))[:, None]
    return np.asarray(np.rint(x_CK).clip(-_CLIP, _CLIP))


def _blocks(raw_CT: NDArray[np.int16], fs: float, rate: int, seconds: float) -> NDArray[np.float64]:
    """Means over blocks of 1/rate s in 256ths of a raw unit, rounded, so that their sums are exact; [leads, blocks]."""
    if (raw_CT.min(axis=1) == INVALID_SAMPLE).any():
        raw_CT = _filled(raw_CT)
    count = int(min(seconds, raw_CT.shape[1] / fs) * rate)
    edges = np.rint(np.arange(count + 1) * (fs / rate)).astype(np.int64)
    sums_CK = np.add.reduceat(raw_CT[:, : edges[-1]], edges[:-1], axis=1, dtype=np.int32)
    return np.asarray(np.rint(sums_CK * 256.0 / np.diff(edges)))


def _filled(raw_CT: NDArray[np.int16]) -> NDArray[np.int16]:
    """Invalid samples take the mean of their lead's valid ones."""
    valid_CT = raw_CT != INVALID_SAMPLE
    sums_C = np.where(valid_CT, raw_CT, 0).sum(axis=1, dtype=np.int64)
    mean_C = sums_C // np.maximum(1, np.count_nonzero(valid_CT, axis=1))
    return np.where(valid_CT, raw_CT, mean_C[:, None]).astype(np.int16)


@lru_cache(maxsize=1)
def _chosen() -> NDArray[np.int64]:
    """Which numbers each bit adds up [_ADDED, 256], as positions in all numbers followed by all with their signs changed.

    From a hash, as NumPy's generators may change from one version to the next; chosen ones rather than a full matrix, as a library's
    matrix product would wake all cores for each record.
    """
    count = 8 * BYTES * _ADDED
    drawn = np.frombuffer(hashlib.shake_256(b"clef_ray signature 1").digest(4 * count), dtype="<u4")
    return (drawn % (2 * len(_LEADS) * _LENGTH)).astype(np.int64).reshape(8 * BYTES, _ADDED).T.copy()


def _near(words_NW: NDArray[np.uint64], max_bits: int) -> list[NDArray[np.int64]]:
    """Pairs of different signatures within `max_bits` bits of each other that agree in at least one of _KEYS choices of bits."""
    bits_BN = np.ascontiguousarray(np.unpackbits(words_NW.view(np.uint8), axis=1).T)
    choose = np.random.default_rng(0)  # any choice serves
    found = []
    for _ in range(_KEYS):
        key_N = np.zeros(len(words_NW), dtype=np.uint32)
        for bit in choose.choice(len(bits_BN), _KEY_BITS, replace=False):
            key_N = (key_N << np.uint32(1)) | bits_BN[bit]
        order = np.argsort(key_N, kind="stable")
        key_N = key_N[order]
        at = np.arange(len(order))
        for apart in range(1, len(order)):
            # Rows that share a key lie side by side: those with the same key `apart` further on.
            at = at[at + apart < len(order)]
            at = at[key_N[at] == key_N[at + apart]]
            if not len(at):
                break
            a, b = order[at], order[at + apart]
            near = np.bitwise_count(words_NW[a] ^ words_NW[b]).sum(axis=1, dtype=np.int64) <= max_bits
            found.append(np.sort(np.stack([a[near], b[near]], axis=1), axis=1))
    return found
