"""The verb `shards` with its own verbs: verify, info, merge, split. What they do stands in shards.py."""

import argparse
from collections.abc import Callable
from typing import Any

from clef_ray.cli import Parser, verb

Subparsers = Any  # argparse keeps its type private

_ABOUT = """\
Look after folders of shards, which `clef-ray ingest` and `clef-ray synth` make.

  clef-ray shards info storage/shards/ptbxl
  clef-ray shards verify storage/shards/*
  clef-ray shards merge storage/shards/ptbxl storage/shards/chapman --out storage/shards/both
  clef-ray shards split storage/shards/ptbxl --folds 1-8 --out storage/shards/train --rest storage/shards/rest"""


def add_all(actions: Subparsers) -> None:
    """`shards`, and below it its verbs in the order of use."""
    parser = actions.add_parser("shards", help="Verify, describe, merge or split shards.", description=_ABOUT)
    below = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)
    _add_reading(below)
    _add_merge(below)
    _add_split(below)


def _add_reading(below: Subparsers) -> None:
    for name, about in (
        (
            "verify",
            "Is every part what its manifest says: digest, columns, number of records? Exit code 1 where not.",
        ),
        (
            "info",
            "What a folder holds: records, patients, folds, labels, coverage, what was set aside, where it is from.",
        ),
    ):
        add = verb(below, name, _action(name), about, f"clef-ray shards {name} storage/shards/ptbxl")
        add("folders", nargs="+", metavar="FOLDER", help="folder of shards, path or URI")
        add("--json", action="store_true", help="print it as JSON and nothing else")


def _add_merge(below: Subparsers) -> None:
    add = verb(
        below,
        "merge",
        _action("merge"),
        "One folder of several that have the same rate, length and leads. Records and patients get their corpus's name in front; of a recording "
        "that two folders hold the first folder's is kept. The same command again goes on.",
        "clef-ray shards merge storage/shards/ptbxl cn=storage/shards/chapman --out storage/shards/both",
    )
    add(
        "folders",
        nargs="+",
        metavar="[NAME=]FOLDER",
        help="folders of shards; NAME in place of the dataset's name",
    )
    add("--out", required=True, metavar="DIR", help="folder of the merged shards")


def _add_split(below: Subparsers) -> None:
    add = verb(
        below,
        "split",
        _action("split"),
        "Some patients with all their records as a folder of their own: by fold, or a share of them, or a share of the patients of some folds. "
        "The same command again goes on.",
        "clef-ray shards split storage/shards/ptbxl --share 0.1 --seed 0 --out storage/shards/tenth",
    )
    add("folder", metavar="FOLDER", help="folder of shards, path or URI")
    add("--out", required=True, metavar="DIR", help="folder for these patients")
    add(
        "--folds",
        default="1-10",
        metavar="FOLDS",
        help="patients of these folds, e.g. 1-8 or 9,10 (default: 1-10)",
    )
    add(
        "--share",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of these a share, drawn by name; a larger one holds a smaller one (default: 1)",
    )
    add("--seed", type=int, default=0, help="another seed draws others (default: 0)")
    add("--rest", metavar="DIR", help="folder for all other patients (default: they are left out)")


def _action(name: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        from clef_ray.cli import shards

        actions = {"verify": shards.verify, "info": shards.info, "merge": shards.merge, "split": shards.split}
        return actions[name](arguments)

    return run
