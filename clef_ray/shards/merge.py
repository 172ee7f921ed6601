"""Several shard folders of one shape as one: names that say where a record is from, and no recording twice."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clef_ray.errors import ConfigError, DataError
from clef_ray.registry import DATASETS
from clef_ray.shards.census import Census, Recordings, repeats
from clef_ray.shards.derive import Origin, pieces, write
from clef_ray.shards.manifest import Manifest, Part
from clef_ray.shards.unite import MERGED, OTHER_CORPUS, United
from clef_ray.shards.writer import Quarantined


def merge(folders: Sequence[str], out: str) -> Manifest:
    """Write the records of all `folders` to `out`, in their order, each as `FOLDER` or `NAME=FOLDER`.

    Records and patients get the name in front ("ptbxl/00001"): NAME, or the dataset's; those of merged shards keep theirs. Pieces of one
    dataset that were made with the same parameters (by `split`) share the name, and so their patients. Label sets and targets are united; a
    record whose corpus lacks one is not annotated for it. A recording that an earlier folder holds is set aside. Folds stay.
    Resumable: the same call goes on.
    ConfigError: other rate, length or leads; a name for two different corpora. DataError: a label set or target that means two things, a
    patient in two folds.
    """
    named = [_named(text) for text in folders]
    origins = [Origin.load(folder) for _, folder in named]
    if len(origins) < 2:
        raise ConfigError(f"{len(origins)} folder given; two or more are merged")
    for (_, folder), origin in zip(named[1:], origins[1:], strict=True):
        _require_shape(origins[0].manifest, named[0][1], origin.manifest, folder)
    names = [name or origin.manifest.dataset for (name, _), origin in zip(named, origins, strict=True)]
    _require_one_meaning(names, origins)
    united = United(origins)
    found = _all(names, origins)
    corpus_N = np.repeat(np.arange(len(origins)), [o.manifest.records for o in origins])
    aside = _repeated(found, origins, corpus_N)
    _require_one_fold(found)
    kept = np.split(
        np.isin(np.arange(len(corpus_N)), list(aside), invert=True), np.flatnonzero(np.diff(corpus_N)) + 1
    )
    told = [
        {"name": name, **origin.told(mask)} for name, origin, mask in zip(names, origins, kept, strict=True)
    ]

    def finish(parts: tuple[Part, ...]) -> Manifest:
        return united.manifest(parts, found, np.concatenate(kept), told, len(aside))

    changes = [partial(united.change, prefix=_prefix(n, o)) for n, o in zip(names, origins, strict=True)]
    new = [
        p
        for origin, mask, change in zip(origins, kept, changes, strict=True)
        for p in pieces(origin, mask, change)
    ]
    rows = [
        Quarantined(found.record[n], found.patient[n], OTHER_CORPUS, found.record[first])
        for n, first in sorted(aside.items())
    ]
    identity = {
        "merge": [
            {"name": n, "fingerprint": o.manifest.fingerprint} for n, o in zip(names, origins, strict=True)
        ]
    }
    return write(out, identity, new, rows, finish)


def _named(text: str) -> tuple[str, str]:
    """`NAME=FOLDER` or `FOLDER` as (name, folder). A URI's options have an equals sign too, behind its slashes."""
    name, equals, folder = text.partition("=")
    return (name, folder) if equals and "/" not in name else ("", text)


def _prefix(name: str, origin: Origin) -> str:
    return "" if origin.manifest.dataset == MERGED else f"{name}/"


def _require_shape(first: Manifest, at: str, other: Manifest, folder: str) -> None:
    """ConfigError: says what differs, and by which options of `ingest` it would not."""
    differs, options = [], []
    if other.fs != first.fs:
        differs.append(f"{other.fs:g} Hz instead of {first.fs:g} Hz")
        options.append(("fs", f"--fs {first.fs:g}"))
    seconds, wanted = other.samples / other.fs, first.samples / first.fs
    if seconds != wanted:
        differs.append(f"{seconds:g} s instead of {wanted:g} s")
        options.append(("seconds", f"--set seconds={wanted:g}"))
    if other.leads != first.leads:
        differs.append(f"leads {', '.join(other.leads)} instead of {', '.join(first.leads)}")
        options.append(("leads", f"--set leads={','.join(first.leads)}"))
    if not differs:
        return
    known = DATASETS.schema(other.dataset) if other.dataset in DATASETS.names() else {}
    typed = " ".join(text for option, text in options if option in known)
    lacking = [option for option, _ in options if option not in known]
    remedy = f"ingest it again with `{typed}`" if typed else ""
    if lacking:
        remedy += f"{' (' if typed else ''}{other.dataset} has no option for its {' and '.join(lacking)}{')' if typed else ''}"
    raise ConfigError(f"{folder} cannot be merged with {at}: it has {'; '.join(differs)}; {remedy}")


def _require_one_meaning(names: Sequence[str], origins: Sequence[Origin]) -> None:
    """Under one name patients of the same id are one person: that holds for pieces of one corpus only."""
    meaning: dict[str, Any] = {}
    for name, origin in zip(names, origins, strict=True):
        told = (
            origin.manifest.made_from
            if origin.manifest.dataset == MERGED
            else ({"name": name, **origin.told(np.ones(0, bool))},)
        )
        for entry in told:
            is_now = (entry["dataset"], entry["parameters"])
            if meaning.setdefault(entry["name"], is_now) != is_now:
                raise ConfigError(
                    f"two corpora are called {entry['name']!r} and were made from other data or with other options, so their patients may be "
                    "other persons under the same ids: give names, e.g. `merge a=FOLDER b=FOLDER`"
                )


def _require_one_fold(found: Census) -> None:
    fold: dict[str, int] = {}
    torn = {
        n for n, f in zip(found.patient, found.fold_N.tolist(), strict=True) if fold.setdefault(n, f) != f
    }
    if torn:
        raise DataError(f"{len(torn)} patients are in more than one fold of the folders to merge")


def _all(names: Sequence[str], origins: Sequence[Origin]) -> Census:
    prefixes = [_prefix(name, origin) for name, origin in zip(names, origins, strict=True)]
    found = [origin.found for origin in origins]
    return Census(
        [f"{p}{name}" for p, f in zip(prefixes, found, strict=True) for name in f.record],
        [f"{p}{name}" for p, f in zip(prefixes, found, strict=True) for name in f.patient],
        np.concatenate([f.fold_N for f in found]),
        np.concatenate([f.part_N for f in found]),
        np.concatenate([f.signature_NB for f in found]),
        np.concatenate([f.known_NK for f in found]),
    )


def _repeated(found: Census, origins: Sequence[Origin], corpus_N: NDArray[np.int64]) -> dict[int, int]:
    """Row that is left out -> the row that is kept for it: the same recording, or the same record (folders that overlap)."""
    first: dict[str, int] = {}
    same = {n: kept for n, name in enumerate(found.record) if (kept := first.setdefault(name, n)) != n}
    places = [(origin.store, part) for origin in origins for part in origin.manifest.parts]
    return {**repeats(found, Recordings(places, origins[0].manifest), corpus_N), **same}
