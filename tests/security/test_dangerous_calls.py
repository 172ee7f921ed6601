"""What can run code that lies in a file or comes over the network is called nowhere, but for the places listed here with their reasons.

ruff's S rules say the same of some of it (they know neither NumPy, pandas, Parquet nor YAML loaders); this test looks at the syntax tree, names
resolved through imports.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted([*(ROOT / "clef_ray").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])

#: Never: nothing here needs them.
FORBIDDEN = (
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp", "runpy.run_module",
    "marshal.load", "marshal.loads", "shelve.open", "dill.load", "dill.loads", "joblib.load", "pandas.read_pickle", "pandas.read_hdf", "pandas.eval",
    "torch.jit.load", "torch.package.PackageImporter", "torch.hub.load", "torch.load_state_dict_from_url",
    "ray.cloudpickle.load", "ray.cloudpickle.loads", "ray.tune.Tuner.restore", "mlflow.pyfunc.load_model", "mlflow.pytorch.load_model", "mlflow.sklearn.load_model",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader",
    "tarfile.open", "tarfile.TarFile", "zipfile.ZipFile", "shutil.unpack_archive", "xml.etree.ElementTree.parse", "xml.etree.ElementTree.fromstring",
    "optuna.storages.journal.JournalRedisBackend", "tempfile.mktemp", "numpy.core.multiarray.set_typeDict",
)  # fmt: skip

#: Where a call stands that is forbidden elsewhere, and why it may.
ALLOWED = {
    ("clef_ray/cluster/ingest.py", "pickle.loads"): "between this process and its own tasks, through Ray, which pickles the task itself",
    ("clef_ray/studies/evolution.py", "pickle.Unpickler"): "made so that it knows five harmless names",
    ("clef_ray/parquet.py", "pyarrow.parquet.ParquetFile"): "the one place; refuses columns that bring code",
    ("clef_ray/shards/groups.py", "pyarrow.parquet.ParquetFile"): "an annotation",
    ("clef_ray/cli/actions.py", "runpy.run_path"): "an experiment file is a program, and its user starts it",
    ("clef_ray/export/torch_file.py", "torch.export.load"): "what was exported a line above, from memory",
}  # fmt: skip

#: Only in the places above.
LISTED = (
    "runpy.run_path", "torch.export.load",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "pyarrow.parquet.ParquetFile", "pyarrow.parquet.read_table", "pyarrow.parquet.ParquetDataset",
    "pandas.read_parquet", "pandas.read_feather", "pyarrow.ipc.open_file", "pyarrow.ipc.open_stream", "pyarrow.dataset.dataset",
    "ray.data.read_parquet", "ray.data.read_numpy", "ray.data.read_binary_files", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader",
)  # fmt: skip

#: These must say it: the argument and its value.
SAYING = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
    "numpy.save": ("allow_pickle", False),
    "subprocess.run": ("shell", None),
    "subprocess.Popen": ("shell", None),
    "subprocess.check_output": ("shell", None),
}


def imported(tree: ast.AST) -> dict[str, str]:
    """Name in the file -> what it stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0] for a in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`np.load` as numpy.load; empty where it is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (before := dotted(node.value, names)):
        return f"{before}.{node.attr}"
    return ""


def faults(text: str, file: str) -> Iterator[str]:
    """What a source file does that it may not."""
    tree = ast.parse(text)
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node, names)
            if name in FORBIDDEN or (name in LISTED and (file, name) not in ALLOWED):
                yield f"{file}:{node.lineno}: {name}"
        if isinstance(node, ast.ImportFrom) and node.module:
            for full in (f"{node.module}.{a.name}" for a in node.names):
                if full in FORBIDDEN or (full in LISTED and (file, full) not in ALLOWED):
                    yield f"{file}:{node.lineno}: {full}"
        if isinstance(node, ast.Call) and (name := dotted(node.func, names)) in SAYING:
            key, wanted = SAYING[name]
            given = [k.value for k in node.keywords if k.arg == key]
            said = given[0].value if given and isinstance(given[0], ast.Constant) else None
            if said is not wanted or any(k.arg is None for k in node.keywords) or (given and wanted is None):
                yield f"{file}:{node.lineno}: {name} without {key}={wanted}"


def test_no_file_runs_what_it_reads():
    read = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in SOURCES}
    assert [fault for file, text in read.items() for fault in faults(text, file)] == []


def test_every_exception_is_needed():
    """One that nobody uses any more hides the next."""
    used = set()
    for file, name in ALLOWED:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = imported(tree)
        if any(dotted(n, names) == name for n in ast.walk(tree) if isinstance(n, ast.Name | ast.Attribute)):
            used.add((file, name))
    assert used == {*ALLOWED}


BAD = {
    "import pickle\npickle.loads(b'')": "pickle.loads",
    "import pickle as p\np.load(f)": "pickle.load",
    "from pickle import loads": "pickle.loads",
    "from pickle import loads as harmless": "pickle.loads",
    "read = __import__": "__import__",
    "eval('1')": "eval",
    "import os\nos.system('x')": "os.system",
    "import torch\ntorch.load(f)": "torch.load without weights_only=True",
    "import torch\ntorch.load(f, weights_only=False)": "torch.load without weights_only=True",
    "import torch\ntorch.load(f, weights_only=flag)": "torch.load without weights_only=True",
    "import torch\ntorch.load(f, **options)": "torch.load without weights_only=True",
    "import numpy as np\nnp.load(f, allow_pickle=True)": "numpy.load without allow_pickle=False",
    "import numpy as np\nnp.load(f)": "numpy.load without allow_pickle=False",
    "import pandas as pd\npd.read_pickle(f)": "pandas.read_pickle",
    "import pyarrow.parquet as pq\npq.read_table(f)": "pyarrow.parquet.read_table",
    "from pyarrow import parquet\nparquet.ParquetFile(f)": "pyarrow.parquet.ParquetFile",
    "import yaml\nyaml.load(f, yaml.SafeLoader)": "yaml.load",
    "import yaml\nyaml.compose(f, Loader=yaml.UnsafeLoader)": "yaml.UnsafeLoader",
    "import subprocess\nsubprocess.run('x', shell=True)": "subprocess.run without shell=None",
    "from ray import cloudpickle\ncloudpickle.loads(b'')": "ray.cloudpickle.loads",
    "import tarfile\ntarfile.open(f)": "tarfile.open",
}


@pytest.mark.parametrize("text", BAD)
def test_the_rule_can_fail(text):
    assert any(found.endswith(BAD[text]) for found in faults(text, "clef_ray/x.py"))


def test_the_rule_looks_at_all_sources():
    assert len(SOURCES) > 300
    assert not list(faults("import numpy as np, torch, yaml\nnp.load(f, allow_pickle=False)\ntorch.load(f, weights_only=True)\nyaml.safe_load(f)", "x"))  # fmt: skip
