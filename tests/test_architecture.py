"""The layers hold, light parts stay light, every component can be had by its name, and the source keeps the house's rules."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clef_ray import registry
from clef_ray.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "clef_ray"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "experiments").glob("*.py")])
REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]
COMPONENTS = [
    pytest.param(kind, name, id=f"{kind.kind}-{name}") for kind in REGISTRIES for name in kind.names()
]

#: Heavy, or one layer's own business.
HEAVY = (
    "ray",
    "mlflow",
    "optuna",
    "torch",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "wfdb",
    "matplotlib",
    "pyarrow",
    "rich",
)

#: Statements for a fresh interpreter each: what they load must not contain what stands beside them.
LIGHT = ("clef_ray", "clef_ray.errors", "clef_ray.registry", "clef_ray.config", "clef_ray.cli")
DATA = ("clef_ray.store", "clef_ray.scores", "clef_ray.signal", "clef_ray.shards", "clef_ray.tasks")
SCIENCE = (
    "clef_ray.distributed",
    "clef_ray.augment",
    "clef_ray.encoders",
    "clef_ray.losses",
    "clef_ray.methods",
    "clef_ray.weights",
    "clef_ray.train",
    "clef_ray.evaluate",
    "clef_ray.ablation",
    "clef_ray.trial",
    "clef_ray.report",
    "clef_ray.tracking",
)
HELP = (
    "import runpy, sys; sys.argv = ['clef-ray', '--help']; runpy.run_module('clef_ray', run_name='__main__')"
)


#: Where mlflow is imported.
MLFLOWS = {
    f"clef_ray.tracking.{name}"
    for name in ("client", "delivery", "machine", "mlflow", "notes", "record", "registry")
}


def importing(*names):
    """A statement that imports these modules and everything in them (but for the files that are mlflow's)."""
    modules = []
    for name in names:
        folder = ROOT / name.replace(".", "/")
        inside = pkgutil.iter_modules([str(folder)]) if folder.is_dir() and name not in LIGHT else []
        modules += [name, *(f"{name}.{module.name}" for module in inside)]
    return "; ".join(f"import {module}" for module in modules if module not in MLFLOWS)


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        pytest.param(importing(*LIGHT), HEAVY, id="names, configuration and command line need nothing heavy"),
        pytest.param(HELP, HEAVY, id="--help needs nothing heavy"),
        pytest.param(
            importing(*DATA), ("ray", "mlflow", "optuna", "torch", "wfdb"), id="data and scores need no torch"
        ),
        pytest.param(
            importing("clef_ray.datasets"), ("ray", "mlflow", "optuna", "torch"), id="data sets may use wfdb"
        ),
        pytest.param(
            importing(*SCIENCE),
            ("ray", "mlflow", "optuna", "wfdb"),
            id="the science needs no cluster and no server",
        ),
    ],
)
def test_a_fresh_interpreter_loads_no_more_than_the_layer_needs(statement, unwanted):
    code = f"try:\n    {statement}\nexcept SystemExit as end:\n    assert not end.code\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) & set(unwanted) == set()


def test_who_may_import_whom():
    """The contracts of pyproject.toml; import-linter reads the source, lazy imports included."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_a_component_is_had_by_its_name_and_its_constructor_is_its_schema(kind, name):
    """Every option has a type that a configuration can hold; the defaults are of that type; the class says what it is."""
    component = kind.get(name)
    assert component.__module__ == f"{kind.package}.{name}"
    assert component.__doc__ or importlib.import_module(component.__module__).__doc__
    for option, parameter in kind.schema(name).items():
        assert parameter.annotation is not None, option
        assert option.isidentifier()
    signature = inspect.signature(component)
    variadic = [p for p in signature.parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    assert not variadic or component.__init__ in (torch.nn.Module.__init__, object.__init__)
    options = kind.options(name, {})
    assert kind.options(name, options) == options
    json.dumps(options)


@pytest.mark.parametrize("kind", REGISTRIES, ids=lambda kind: kind.kind)
def test_every_kind_has_components(kind):
    assert kind.names()


def ids(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", SOURCES, ids=ids(SOURCES))
def test_a_source_file_is_short_documented_and_free_of_shortcuts(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) < 300
    assert ast.get_docstring(tree) or not text.strip(), "says what it is for"
    assert path.name != "utils.py"
    assert not re.search(r"TODO|FIXME|XXX", text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            caught = "" if raises_again else ast.unparse(node.type) if node.type else "everything"
            assert caught not in {"everything", "Exception", "BaseException"}, (
                f"line {node.lineno} catches {caught}"
            )


def test_the_rules_can_fail(tmp_path):
    """A rule that nothing breaks may be a rule that looks at nothing."""
    assert len(SOURCES) > 30
    assert len(COMPONENTS) > 8
    bad = tmp_path / "bad.py"
    bad.write_text('"""x"""\ntry:\n    pass\nexcept Exception:\n    pass\n')
    with pytest.raises(AssertionError, match="line 4 catches Exception"):
        test_a_source_file_is_short_documented_and_free_of_shortcuts(bad)
