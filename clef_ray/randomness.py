"""Counter-based random numbers: a value is a pure function of (key, counters), never of what was drawn before.

So neither resuming, nor the number of workers, nor the order in which batches arrive changes what is seen, and the same numbers come out
on CPU and GPU. The mixer is MurmurHash3's 32-bit finaliser (Appleby, public domain), chained over the words; it is meant for augmentation
and sampling, not for cryptography. All arithmetic is on int64 tensors holding values below 2^32, where products of a 32-bit value and a
16-bit half never overflow.
"""

import hashlib

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def fold(*words: int | str) -> int:
    """One 32-bit key from any number of words (seed, epoch, "mask", ...)."""
    text = "\x1f".join(str(w) for w in words)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def _multiply(x: Tensor, constant: int) -> Tensor:
    """(x * constant) mod 2^32 for x < 2^32, by 16-bit halves so that no product leaves int64."""
    low = x * (constant & 0xFFFF)
    high = (x * (constant >> 16)) & 0xFFFF
    return (low + (high << 16)) & _MASK


def _mix(x: Tensor) -> Tensor:
    x = _multiply(x ^ (x >> 16), 0x85EBCA6B)
    x = _multiply(x ^ (x >> 13), 0xC2B2AE35)
    return x ^ (x >> 16)


def hash_u32(key: int, *counters: Tensor) -> Tensor:
    """Uniform integers in [0, 2^32) as int64, one per element of the broadcast counters (int64, >= 0)."""
    state = torch.tensor(key & _MASK, dtype=torch.int64, device=counters[0].device)
    for word, counter in enumerate(counters):
        state = _mix(state ^ _mix((counter & _MASK) + 0x9E3779B9 * (word + 1) & _MASK))
    return state


def uniform(key: int, *counters: Tensor) -> Tensor:
    """Uniform float32 in [0, 1), one per element of the broadcast counters."""
    return (hash_u32(key, *counters) >> 8).to(torch.float32) * (1.0 / (1 << 24))
