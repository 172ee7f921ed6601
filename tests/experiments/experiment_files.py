"""The experiment files as modules, loaded the way Python would run them."""

import importlib.util
from pathlib import Path
from types import ModuleType

from clef_ray.ablation import Ablation
from clef_ray.search import Search

FOLDER = Path(__file__).parents[2] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "\nABLATION = " in path.read_text())
SEARCHES = sorted(path.stem for path in FOLDER.glob("sweep_*.py"))
#: What needs no training: a question to the data alone, with a command line of its own.
SCRIPTS = ("score_label_correlation",)


def load(name: str) -> tuple[Ablation | Search, str]:
    """The declaration and the docstring of an experiment file."""
    found_in = module(name)
    return getattr(found_in, "ABLATION", None) or found_in.SEARCH, found_in.__doc__


def module(name: str) -> ModuleType:
    """An experiment file."""
    found = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    loaded = importlib.util.module_from_spec(found)
    found.loader.exec_module(loaded)
    return loaded
