"""The manifest of a shard folder: what it holds, where it came from, and the fingerprint by which runs know it."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from clef_ray.errors import DataError
from clef_ray.shards.schema import SCHEMA_VERSION, canonical
from clef_ray.store import Store

MANIFEST = "manifest.json"
PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file: its name in the folder, the records it holds, its digest, its row groups and bytes (0: not noted before version 3)."""

    file: str
    records: int
    sha256: str
    row_groups: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished shard folder.

    parameters: the dataset's own (options, digests of its tables); fs [Hz], samples and leads: of every record; records, patients: usable
    ones; quarantined: reason -> number of records; coverage: covariate -> share of records it is known for; fingerprint: hash of the schema
    version and the parts' digests, with neither path nor clock in it.
    Since version 3 (empty before): targets: name -> unit; fitted: how many records were resampled, cut or padded; hints: what looks odd ->
    number of records, or of patients where it says so; quality, filters: what ingestion was told; source: where the dataset is published;
    made_from: of merged or split shards, what they were made from, in order.
    """

    schema_version: int
    dataset: str
    parameters: Mapping[str, Any]
    fs: float
    samples: int
    leads: tuple[str, ...]
    label_sets: Mapping[str, tuple[str, ...]]
    headline: str
    records: int
    patients: int
    quarantined: Mapping[str, int]
    coverage: Mapping[str, float]
    parts: tuple[Part, ...]
    fingerprint: str
    citation: str
    licence: str
    targets: Mapping[str, str] = field(default_factory=dict)
    fitted: Mapping[str, int] = field(default_factory=dict)
    hints: Mapping[str, int] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    filters: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    made_from: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As it stands in manifest.json."""
        return asdict(self)

    def save(self, store: Store) -> None:
        store.write_bytes(MANIFEST, json.dumps(self.to_dict(), indent=1, allow_nan=False).encode())

    @classmethod
    def load(cls, folder: str) -> "Manifest":
        """The manifest of a shard folder (path or URI). DataError: no such folder, not a (finished) shard folder, or a newer schema."""
        store = Store(folder)
        if not store.exists(MANIFEST):
            raise _no_manifest(store, folder)
        try:
            data = json.loads(store.read_bytes(MANIFEST))
            version = data["schema_version"]
            if version > SCHEMA_VERSION:
                raise DataError(
                    f"{folder} has schema version {version}; this clef_ray reads up to {SCHEMA_VERSION}: update it, or ingest again"
                )
            data["leads"] = tuple(data["leads"])
            data["label_sets"] = {name: tuple(classes) for name, classes in data["label_sets"].items()}
            data["parts"] = tuple(Part(**part) for part in data["parts"])
            data["made_from"] = tuple(data.get("made_from", ()))
            return cls(**data)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{store.path(MANIFEST)} is damaged ({error}); ingest again into a new folder"
            ) from error

    def verify(self, folder: str) -> None:
        """Compare every part with its digest. DataError naming the parts that are missing or changed."""
        wrong = changed(Store(folder), self.parts)
        if wrong:
            raise DataError(
                f"{folder}: {len(wrong)} of {len(self.parts)} parts are missing or changed: {', '.join(wrong)}; "
                "delete these parts and start the same ingestion again"
            )


def changed(store: Store, parts: Sequence[Part]) -> list[str]:
    """The files of parts that are missing or not what they were, several read at once: a core hashes slower than a disk reads."""

    def differs(part: Part) -> bool:
        return not store.exists(part.file) or store.digest(part.file) != part.sha256

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(differs, parts)
        return [part.file for part, wrong in zip(parts, found, strict=True) if wrong]


def digest(data: bytes | memoryview) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(parts: Sequence[Part]) -> str:
    """Identity of the content: a hash of the schema version and the parts' digests in order."""
    return digest(canonical({"schema_version": SCHEMA_VERSION, "parts": [part.sha256 for part in parts]}))


def _no_manifest(store: Store, folder: str) -> DataError:
    if not store.exists():
        return DataError(f"no such folder: {folder}")
    if store.exists(PLAN):
        return DataError(
            f"{folder}: ingestion was not finished; start the same ingestion again and it goes on"
        )
    if not store.list():
        return DataError(
            f"{folder} is an empty folder; shards are made by `clef-ray ingest` or `clef-ray synth`"
        )
    return DataError(
        f"{folder} is not a shard folder: it has no {MANIFEST}; shards are made by `clef-ray ingest` or `clef-ray synth`"
    )
