"""`clef-ray download`: an open PhysioNet dataset, resumed and verified; of the others, how to get them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clef_ray.datasets import Source
from clef_ray.datasets._download import Fetched, File, chosen, fetch_all, published_files
from clef_ray.errors import ConfigError
from clef_ray.registry import DATASETS

#: Files with a problem that are listed by name; the rest is counted.
LISTED = 20


def run(arguments: argparse.Namespace) -> int:
    """0: all is there and right; 1: some file is not, or the dataset cannot be fetched for the person. See `clef-ray download --help`."""
    source: Source = DATASETS.get(arguments.dataset).source
    if source.access != "open" or source.physionet is None:
        print(how(arguments.dataset, source, arguments.root))
        return 1
    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigError(f"--limit {arguments.limit}: at least 1")
    root = Path(arguments.root)
    listed = published_files(source.physionet, root)
    files = chosen(listed, arguments.only, arguments.limit)
    if not files:
        raise ConfigError(
            f"--only {' '.join(arguments.only)}: none of the {len(listed)} files of {source.physionet} matches"
        )
    wrong = _fetch(source.physionet, files, root)
    print(
        f"{root}: {len(files) - len(wrong)} of {len(files)} files are there and verified ({len(listed)} are published)"
    )
    for fetched in wrong[:LISTED]:
        print(f"  {fetched.file.path}: {fetched.problem}", file=sys.stderr)
    if wrong:
        more = f"  and {len(wrong) - LISTED} more\n" if len(wrong) > LISTED else ""
        print(f"{more}The same command tries these again.", file=sys.stderr)
    return 1 if wrong else 0


def how(name: str, source: Source, root: str) -> str:
    """How a person gets a dataset that is not fetched for them."""
    if source.physionet is None:
        return f"{name} is not on PhysioNet and is not fetched by this command.\n{source.how}\nPage: {source.url}"
    steps = ["Sign in at https://physionet.org (an account is free)."]
    if source.access == "credentialed":
        steps.append(
            "Become a credentialed user there: a reference, and the CITI course on research with human data."
        )
    steps.append(f"Sign the data use agreement at the foot of {source.url}")
    steps.append(
        "Download with PhysioNet's own command, which asks for your password; the same command goes on after a break:\n"
        f"     wget -r -N -c -np -nH --cut-dirs=3 -P {root} --user USER --ask-password "
        f"https://physionet.org/files/{source.physionet}/"
    )
    numbered = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))
    return f"{name} is {source.access}: PhysioNet gives it to people, not to programs, and no password is handled here.\n{numbered}"


def _fetch(database: str, files: Sequence[File], root: Path) -> list[Fetched]:
    """Fetch with a bar in a terminal and a line now and then elsewhere. Returns what is wrong."""
    wrong: list[Fetched] = []
    megabytes, lock = 0.0, Lock()
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[came]}"), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task(escape(database), total=len(files), came="")
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal megabytes
        with lock:
            megabytes += count / 1e6
            bar.update(task, came=f"{megabytes:,.1f} MB")

    def on_file(fetched: Fetched) -> None:
        nonlocal done
        with lock:
            done += 1
            if fetched.problem:
                wrong.append(fetched)
            bar.advance(task)
            if not console.is_terminal and done % max(len(files) // 20, 1) == 0:
                print(f"{done}/{len(files)} files, {megabytes:,.1f} MB, {len(wrong)} wrong", file=sys.stderr)

    with bar:
        fetch_all(database, files, root, on_bytes, on_file)
    return sorted(wrong, key=lambda fetched: fetched.file.path)
