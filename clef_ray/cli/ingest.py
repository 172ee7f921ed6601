"""`clef-ray ingest` and `clef-ray synth`."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from clef_ray.cli.options import pairs
from clef_ray.config import from_dict
from clef_ray.errors import ConfigError
from clef_ray.registry import DATASETS
from clef_ray.sections import Filters, Quality
from clef_ray.shards import Manifest
from clef_ray.store import Store

#: Options of datasets that have an option of their own on the command line.
_TYPED = {"root": "--root DIR", "map": "--map FILE"}


def synth(arguments: argparse.Namespace) -> int:
    names = ("patients", "seed", "effect", "missing", "missing_rate")
    return _ingest("synthetic", {name: getattr(arguments, name) for name in names}, arguments)


def ingest(arguments: argparse.Namespace) -> int:
    if arguments.list:
        from clef_ray.cli.dataset_list import show

        return show()
    name, options = asked(arguments)
    if arguments.preview:
        from clef_ray.cli.preview import run

        return run(name, options, arguments.preview_out)
    if arguments.out is None:
        raise ConfigError(f"ingest {name}: give --out DIR, the folder of the shards")
    if not 0 <= arguments.max_bad <= 1:
        raise ConfigError(f"--max-bad {arguments.max_bad:g}: give a share of 0 to 1, e.g. 0.05 for 5 %")
    return _ingest(name, options, arguments, arguments.max_bad, *told(arguments))


def asked(arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The dataset and its options as typed; ConfigError where one is unknown or missing."""
    if arguments.dataset is None:
        raise ConfigError(f"ingest: name a dataset, one of {', '.join(DATASETS.names())}, or see --list")
    given: dict[str, Any] = pairs("--set", arguments.set, "seconds=10")
    for option in ("root", "fs", "map"):  # not every dataset has them
        if (value := getattr(arguments, option)) is not None:
            given[option] = value
    where = f"ingest {arguments.dataset}"
    options = DATASETS.options(arguments.dataset, given, where)
    if missing := [key for key in DATASETS.schema(arguments.dataset) if key not in options]:
        typed = [_TYPED.get(key, f"--set {key}=...") for key in missing]
        raise ConfigError(f"{where}: give {' '.join(typed)}")
    return arguments.dataset, options


def told(arguments: argparse.Namespace) -> tuple[Quality, Filters]:
    """What `--quality` and `--filters` say."""
    return (
        from_dict(Quality, pairs("--quality", arguments.quality, "amplitude_mv=30"), "quality"),
        from_dict(Filters, pairs("--filters", arguments.filters, "notch=50"), "filters"),
    )


def _ingest(
    name: str,
    options: Mapping[str, Any],
    arguments: argparse.Namespace,
    max_bad: float = 0.05,
    quality: Quality = Quality(),  # noqa: B008 - frozen
    filters: Filters = Filters(),  # noqa: B008 - frozen
) -> int:
    from clef_ray.cluster.ingest import ingest as run
    from clef_ray.cluster.session import session

    checked = DATASETS.options(name, options, f"dataset {name}")
    DATASETS.get(name)(**checked)  # a wrong folder or option is told before Ray starts
    Store(arguments.out).check_writable()
    with session(arguments.address):
        manifest = run(
            name,
            checked,
            arguments.out,
            max_bad=max_bad,
            progress=not arguments.json,
            quality=quality,
            filters=filters,
        )
    print(json.dumps(summary(manifest), indent=1) if arguments.json else _sentence(manifest, arguments.out))
    return 0


def summary(manifest: Manifest) -> dict[str, Any]:
    """The manifest's keys that scripts want."""
    return {
        "records": manifest.records,
        "patients": manifest.patients,
        "quarantined": dict(manifest.quarantined),
        "fitted": dict(manifest.fitted),
        "hints": dict(manifest.hints),
        "parts": len(manifest.parts),
        "fingerprint": manifest.fingerprint,
    }


def _sentence(manifest: Manifest, out: str) -> str:
    def listed(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n)

    told = [
        f"{manifest.records} records of {manifest.patients} patients in {len(manifest.parts)} parts",
        f"quarantined: {listed(manifest.quarantined) or 'none'}",
    ]
    told += [f"fitted: {listed(manifest.fitted)}"] if any(manifest.fitted.values()) else []
    told += [f"hints: {listed(manifest.hints)}"] if manifest.hints else []
    return f"{out}: {'; '.join(told)}; fingerprint {manifest.fingerprint}"
