"""What `--data` may name: a folder of shards, a dataset's folder, or a dataset by name; turned into shards where it is not yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from clef_ray.config import Spec, fingerprint
from clef_ray.errors import ConfigError, DataError
from clef_ray.evaluate.judging import prefixes
from clef_ray.evaluate.problem import Facts, require_answerable
from clef_ray.registry import DATASETS, TASKS, unknown
from clef_ray.shards import Manifest
from clef_ray.shards.manifest import MANIFEST
from clef_ray.store import Store

#: What stands before the data of pretraining on the command line; before a target's: `target`.
DATA = "--data "


def target(name: str) -> str:
    """What stands before the data of the target of this name on the command line."""
    return f"--target {name}="


@dataclass(frozen=True)
class Raw:
    """A dataset that is not ingested yet: its name and its constructor's options."""

    name: str
    options: Mapping[str, Any]

    def build(self) -> Any:
        return DATASETS.get(self.name)(**self.options)

    def default_folder(self, storage: str) -> str:
        """Where its shards lie by default: named by what determines their content, so that the same data are ingested once."""
        mark = fingerprint({"dataset": self.name, "parameters": self.build().parameters()})
        return Store(storage).child("shards").child(f"{self.name}-{mark[:8]}").uri


def find(data: str, fs: float, option: str = DATA) -> str | Raw:
    """What `data` names: a folder of shards (returned as it is), or a Raw dataset. fs [Hz]: picks between a dataset's rates; option: what
    stands before it on the command line.

    `name`, `name:key=value,...`, or a path/URI. Raises DataError for a path that holds neither, ConfigError for an unknown name.
    """
    name, _, text = data.partition(":")
    if name in DATASETS.names():
        return Raw(name, _options(name, _pairs(name, text, option), fs, option))
    if Store(data).exists(MANIFEST):
        return data
    if "://" in data:
        raise DataError(
            f"{option}{data}: there is no {MANIFEST}; give a folder of shards made by `clef-ray ingest`"
        )
    folder = Path(data)
    if not folder.exists():
        if "/" in data:
            raise DataError(f"{option}{data}: no such path (looked at {folder.absolute()})")
        raise unknown(
            "dataset", data, DATASETS.names(), f"{option.rstrip(' =')}; there is no such path either"
        )
    signatures = {dataset: DATASETS.get(dataset).signature for dataset in DATASETS.names()}
    for dataset, patterns in signatures.items():
        if any(True for pattern in patterns for _ in folder.glob(pattern)):
            return Raw(dataset, _options(dataset, {"root": str(folder)}, fs, option))
    held = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    what = f"holds {', '.join(held[:5])}{', ...' if len(held) > 5 else ''}" if held else "is empty"
    known = ", ".join(dataset for dataset, patterns in signatures.items() if patterns)
    raise DataError(
        f"{option}{data}: {what}: no shards ({MANIFEST}), and not the usual files of a dataset. If it is one, name it: "
        f"{option}NAME:root={data}, NAME one of {known}; your own files: `clef-ray ingest generic`"
    )


def _pairs(name: str, text: str, option: str) -> dict[str, str]:
    pairs = [p.partition("=") for p in text.split(",") if p]
    if bad := [key for key, equals, _ in pairs if not equals]:
        raise ConfigError(f"{option}{name}:{text}: {bad[0]!r} is no key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _options(name: str, given: Mapping[str, str], fs: float, option: str) -> dict[str, Any]:
    """All options; the rate, where the dataset is published at several and none is given, is the lowest that holds the run's."""
    options = DATASETS.options(name, {**_rate(name, fs), **given}, f"{option}{name}")
    if missing := [key for key in DATASETS.schema(name) if key not in options]:
        raise ConfigError(f"{option}{name}: give {name}:{','.join(f'{key}=...' for key in missing)}")
    return options


def _rate(name: str, fs: float) -> dict[str, float]:
    """A rate to which any record is resampled is no choice between published ones: it stays the dataset's own."""
    kind = DATASETS.schema(name)["fs"].annotation if "fs" in DATASETS.schema(name) else float
    rates = sorted(get_args(kind)) if get_origin(kind) is Literal else []
    return {"fs": next((rate for rate in rates if rate >= fs), rates[-1])} if rates else {}


def prepare(
    data: str,
    fs: float,
    storage: str,
    ingest: Callable[[str, Mapping[str, Any], str], Manifest],
    option: str = DATA,
) -> str:
    """The folder of shards behind `data`, ingested with `ingest(name, options, out)` where that has not been done; option: as of `find`."""
    found = find(data, fs, option)
    if isinstance(found, str):
        return found
    folder = found.default_folder(storage)
    if not Store(folder).exists(MANIFEST):
        ingest(found.name, found.options, folder)
    return folder


@dataclass(frozen=True)
class _Planned:
    """What the manifest of a dataset will say that is not ingested yet."""

    dataset: str
    leads: tuple[str, ...]
    label_sets: Mapping[str, tuple[str, ...]]
    headline: str
    targets: Mapping[str, str]


def facts_of(named: str, fs: float, option: str = DATA) -> Facts:
    """What is known of data that `--data` or `--target` names before they are ingested; option: as of `find`. DataError for a folder that
    lacks a table.
    """
    found = find(named, fs, option)
    if not isinstance(found, Raw):
        return Manifest.load(found)
    made = found.build()
    return _Planned(found.name, made.leads, made.label_sets, made.headline, made.targets)


def check_tasks(tasks: Sequence[Spec], data: str, targets: Mapping[str, str], fs: float) -> None:
    """ConfigError where one of the tasks can be answered neither on the data of pretraining nor on a target: a typo would be skipped on all;
    or where two have one name.
    """
    prefixes(tasks)
    named = [(DATA, data), *((target(name), other) for name, other in targets.items())]
    corpora = {f"{option}{given}": facts_of(given, fs, option) for option, given in named}
    require_answerable([task.build(TASKS) for task in tasks], corpora)
