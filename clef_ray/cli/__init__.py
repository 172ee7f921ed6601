"""`clef-ray VERB`: each verb imports its layer when it is called, so `--help` answers at once."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from clef_ray import __version__
from clef_ray.errors import ClefRayError

OVERVIEW = """\
Which part of clinically-guided ECG pretraining matters?

  clef-ray synth --patients 500 --out storage/shards/demo        a synthetic cohort, as shards
  clef-ray ingest ptbxl --root /data/ptbxl --out storage/shards/ptbxl
  clef-ray score --list                                          clinical risk scores, and what each needs
  clef-ray pretrain --data storage/shards/demo --set optimiser.epochs=5
  clef-ray evaluate latest --data storage/shards/demo
  clef-ray sweep experiments/ablate_negatives.py --dry-run
  clef-ray report ablate_negatives --open                        the report again, from what the storage holds
  clef-ray gc --dry-run                                          what nothing needs any more
  clef-ray migrate --to s3://clef/storage --dry-run              to a team's services, and nothing twice
  clef-ray doctor                                                is this machine ready?

Every verb explains itself: clef-ray VERB --help"""


class Parser(argparse.ArgumentParser):
    """argparse whose examples keep their line breaks and whose errors point at --help."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nSee {self.prog} --help.\n")


def verb(actions: Any, name: str, run: Callable[[argparse.Namespace], int], about: str, example: str) -> Any:
    """Add a verb to `clef-ray`; returns its `add_argument`."""
    parser = actions.add_parser(name, help=about, description=about, epilog=f"example:\n  {example}")
    parser.set_defaults(action=run)
    return parser.add_argument


def build_parser() -> Parser:
    """The whole command line; importing nothing heavier than argparse."""
    from clef_ray.cli import verbs

    parser = Parser(prog="clef-ray", description=OVERVIEW)
    parser.add_argument("--version", action="version", version=f"clef-ray {__version__}")
    actions = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)
    verbs.add_all(actions)
    return parser


def guarded(action: Callable[[], int]) -> int:
    """Run an action; a user's error is one clear line and exit code 2, Ctrl-C is exit code 130."""
    try:
        return action()
    except ClefRayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What is finished is kept; the same command goes on from there.", file=sys.stderr
        )
        return 130


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `clef-ray`; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    return guarded(lambda: int(arguments.action(arguments)))
