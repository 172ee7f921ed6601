"""What a shard folder holds, in counts: nothing of it is about a single patient."""

from collections import Counter
from typing import Any

from clef_ray.shards.corpus import read_columns
from clef_ray.shards.manifest import Manifest
from clef_ray.store import Store


def describe(folder: str) -> dict[str, Any]:
    """The manifest without its list of parts, and: folds (fold -> records), labels (set -> class -> records), annotated (set -> records),
    known_targets (target -> share of records), parts and bytes. Plain JSON values.
    """
    manifest = Manifest.load(folder)
    labels, targets = (
        [f"label_{name}" for name in manifest.label_sets],
        [f"target_{name}" for name in manifest.targets],
    )
    table = read_columns(Store(folder), manifest.parts, ["fold", *labels, *targets])
    counts = {
        name: Counter(c for found in table[f"label_{name}"].dropna() for c in found)
        for name in manifest.label_sets
    }
    folds = table["fold"].value_counts().sort_index()
    about = {key: value for key, value in manifest.to_dict().items() if key not in ("parts", "label_sets")}
    return {
        **about,
        "folds": {str(fold): int(n) for fold, n in folds.items()},
        "labels": {
            name: {c: counts[name][c] for c in classes} for name, classes in manifest.label_sets.items()
        },
        "annotated": {name: int(table[f"label_{name}"].notna().sum()) for name in manifest.label_sets},
        "known_targets": {
            name: round(float(table[f"target_{name}"].notna().mean()), 6) for name in manifest.targets
        },
        "parts": len(manifest.parts),
        "bytes": sum(part.size for part in manifest.parts),
    }
