"""The experiment files as modules, loaded the way Python would run them."""

import importlib.util
from pathlib import Path

from clef_ray.ablation import Ablation
from clef_ray.search import Search

FOLDER = Path(__file__).parents[2] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "\nABLATION = " in path.read_text())
SEARCHES = sorted(path.stem for path in FOLDER.glob("sweep_*.py"))


def load(name: str) -> tuple[Ablation | Search, str]:
    """The declaration and the docstring of an experiment file."""
    found = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return getattr(module, "ABLATION", None) or module.SEARCH, module.__doc__
