"""`clef-ray ingest --map-help`: every key of the YAML file of a generic dataset, in one example."""

import argparse
from typing import NoReturn


class MapHelp(argparse.Action):
    """Prints the help and ends, as --help does; what it prints is imported only then."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:  # noqa: A002 - argparse's name
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from clef_ray.datasets import generic

        print(generic.__doc__)
        parser.exit()
