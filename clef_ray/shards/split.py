"""Some patients of a shard folder as a folder of their own: by fold, or a share drawn by their names."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError, DataError
from clef_ray.shards.census import Census
from clef_ray.shards.derive import Origin, pieces, write
from clef_ray.shards.manifest import Manifest, fingerprint


def split(
    folder: str,
    out: str,
    *,
    folds: Sequence[int] = tuple(range(1, 11)),
    share: float = 1.0,
    seed: int = 0,
    rest: str | None = None,
) -> tuple[Manifest, ...]:
    """Write the patients of `folds` (1..10), and of them the share `share` (0..1], to `out`, with all their records; the others to `rest`.

    Whether a patient is in the share follows from its name and `seed` alone, and a larger share holds a smaller one. A patient is never
    in both folders. Resumable: the same call goes on. ConfigError: values outside their ranges; DataError: no patient is left, or none for
    `rest`.
    """
    if not folds or not set(folds) <= set(range(1, 11)):
        raise ConfigError(f"--folds {','.join(map(str, folds))}: give folds of 1 to 10, e.g. 1-8 or 9,10")
    if not 0 < share <= 1:
        raise ConfigError(f"--share {share:g}: give a share above 0 and at most 1")
    origin = Origin.load(folder)
    chosen_N = np.isin(origin.found.fold_N, list(folds)) & _drawn(origin.found, share, seed)
    chosen: dict[str, Any] = {"folds": sorted(set(folds)), "share": float(share), "seed": seed}
    made = [_part_of(origin, chosen_N, {**chosen, "rest": False}, folder, out)]
    if rest is not None:
        made.append(_part_of(origin, ~chosen_N, {**chosen, "rest": True}, folder, rest))
    return tuple(made)


def _drawn(found: Census, share: float, seed: int) -> NDArray[np.bool_]:
    if share == 1:
        return np.ones(len(found.patient), dtype=bool)
    inside = {
        name: int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") < share * 2**64
        for name in set(found.patient)
    }
    return np.array([inside[name] for name in found.patient])


def _part_of(
    origin: Origin, kept_N: NDArray[np.bool_], selection: dict[str, Any], folder: str, out: str
) -> Manifest:
    if not kept_N.any():
        raise DataError(f"no patient of {folder} is left for {out}")
    told = {**origin.told(kept_N), "selection": selection}

    def finish(parts: tuple[Any, ...]) -> Manifest:
        return replace(
            origin.manifest,
            records=int(kept_N.sum()),
            patients=origin.found.patients(kept_N),
            quarantined={},
            coverage=origin.found.coverage(kept_N),
            parts=parts,
            fingerprint=fingerprint(parts),
            fitted={},
            hints={},
            made_from=(told,),
        )

    identity = {"split": {"fingerprint": origin.manifest.fingerprint, **selection}}
    return write(out, identity, pieces(origin, kept_N, lambda table: table), (), finish)
