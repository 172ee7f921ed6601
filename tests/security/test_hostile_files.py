"""Files of strangers: every kind of file that is read here, made so that a careless reader would run its author's code. None does."""

import io
import json
import pickle
import sys
from dataclasses import replace

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
import toy
import yaml

from clef_ray import registry
from clef_ray.augment.bank import read_bank
from clef_ray.cli import patients
from clef_ray.datasets import UnreadableError
from clef_ray.datasets._files import Layout, read_file
from clef_ray.datasets._generic_table import read_text
from clef_ray.datasets._wfdb import read_header, read_wfdb
from clef_ray.datasets.generic import Generic
from clef_ray.distributed import load_state
from clef_ray.errors import ClefRayError, ConfigError, DataError, StorageError, TrackingError
from clef_ray.evaluate.features import _array
from clef_ray.evaluate.known import Known
from clef_ray.evaluate.result import TaskResult
from clef_ray.parquet import open_parquet
from clef_ray.provision import shared
from clef_ray.report import record
from clef_ray.shards import Manifest, ingest_local, load_corpus, read_table
from clef_ray.shards.census import census
from clef_ray.shards.verify import problems
from clef_ray.store import Store
from clef_ray.studies.samplers import sampler
from clef_ray.studies.storage import open_storage
from clef_ray.weights import read_weights


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def ran(tmp_path):
    """The file that is there when a payload has run; the test fails then."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists(), "code of the file's author has run"


def test_the_payload_runs_where_a_reader_is_careless(tmp_path):
    """Otherwise nothing here shows anything."""
    ran = tmp_path / "ran"
    for number, read in enumerate((pickle.loads, lambda b: torch.load(io.BytesIO(b), weights_only=False))):
        content = io.BytesIO()
        (torch.save(Payload(ran), content) if number else pickle.dump(Payload(ran), content))
        read(content.getvalue())
        assert ran.exists()
        ran.unlink()


def zipped(payload):
    content = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(1)}, "x": payload}, content)
    return content.getvalue()


def legacy(payload):
    content = io.BytesIO()
    torch.save({"state_dict": {"x": payload}}, content, _use_new_zipfile_serialization=False)
    return content.getvalue()


def within_numpy(payload):
    """The payload behind a number of NumPy, which a released checkpoint may have."""

    class Scalar:
        def __reduce__(self):
            return np._core.multiarray.scalar, (np.dtype("O"), payload)

    return zipped(Scalar())


CHECKPOINTS = {"plain": pickle.dumps, "zipped": zipped, "legacy": legacy, "numpy": within_numpy}


@pytest.mark.parametrize("kind", CHECKPOINTS)
@pytest.mark.parametrize("name", ["checkpoint.pt", "weights.ckpt", "weights.pth", "weights.safetensors"])
def test_a_checkpoint(kind, name, ran, tmp_path):
    (tmp_path / name).write_bytes(CHECKPOINTS[kind](Payload(ran)))
    with pytest.raises(StorageError, match="is not a clef_ray checkpoint"):
        load_state(Store(str(tmp_path)), name)
    with pytest.raises(DataError):
        read_weights(str(tmp_path / name))


@pytest.mark.parametrize("name", ["os", "../os", "_residual", "__init__", "clef.os", "", "clef\0"])
def test_safetensors_that_name_another_module(name, ran, tmp_path):
    about = {"format": "clef_ray-weights-1", "encoder": json.dumps({"name": name}), "signals": "{}", "leads": "[]"}  # fmt: skip
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", about)
    with pytest.raises(ConfigError, match="unknown encoder"):
        read_weights(str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("kind", [v for v in vars(registry).values() if isinstance(v, registry.Registry)])
@pytest.mark.parametrize("name", ["os", "..os", "../os", "_yaml", "__init__", "clef_ray.cli"])
def test_a_name_in_a_file_imports_only_components(kind, name):
    """Configurations, plans and manifests name components; nothing else is imported for them."""
    before = {*sys.modules}
    with pytest.raises(ConfigError, match="unknown"):
        kind.get(name)
    assert {*sys.modules} == before


def npy(payload):
    content = io.BytesIO()
    np.save(content, np.array([payload], dtype=object), allow_pickle=True)
    return content.getvalue()


def npz(payload, **arrays):
    content = io.BytesIO()
    np.savez(content, x=np.array([payload], dtype=object), **arrays)
    return content.getvalue()


def test_signals_in_an_array(ran, tmp_path):
    path = tmp_path / "signals.npy"
    path.write_bytes(npy(Payload(ran)))
    with pytest.raises(UnreadableError):
        read_file(path, Layout("npy", {"I": "I"}), 100.0)


def test_embeddings(ran):
    assert _array(npy(Payload(ran))) is None


def test_a_bank_of_noise(ran, tmp_path):
    (tmp_path / "bank.npz").write_bytes(npz(Payload(ran), fs=np.array(360.0)))
    with pytest.raises(DataError):
        read_bank(str(tmp_path / "bank.npz"))


def test_a_tasks_result(ran):
    names = {key: [] for key in ("names", "intervals", "replicates", "extra_names", "skipped", "notes")}
    content = io.BytesIO()
    np.savez(content, extra_values=np.array([Payload(ran)], dtype=object), **names)
    with pytest.raises(DataError, match="not a stored task result"):
        TaskResult.from_bytes(content.getvalue())


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    ingest_local(toy.toy(12), str(folder))
    return folder


def with_column(source, target, name, storage, extension, metadata=b""):
    """A copy of a Parquet file in which one column says that it is of an extension type."""
    table = pq.read_table(source)
    values = [storage] * len(table)
    table = table.set_column(table.column_names.index(name), name, pa.array(values))
    about = {b"ARROW:extension:name": extension, b"ARROW:extension:metadata": metadata}
    fields = [f.with_metadata(about) if f.name == name else f for f in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), target)


#: A column of pickles, as Ray Data's own type has them.
PICKLED = b"ray.data.arrow_pickled_object"


@pytest.fixture
def hostile(shards, ran, tmp_path):
    """Shards whose patients are pickles, with the digest that their manifest says."""
    import ray.data  # noqa: F401 - registers its types, as in every process of a sweep

    manifest = Manifest.load(str(shards))
    (part,) = manifest.parts
    folder = tmp_path / "hostile"
    folder.mkdir()
    with_column(shards / part.file, folder / part.file, "patient", pickle.dumps(Payload(ran)), PICKLED)
    digest, size = Store(str(folder)).digest(part.file), (folder / part.file).stat().st_size
    replace(manifest, parts=(replace(part, sha256=digest, size=size),)).save(Store(str(folder)))
    return folder


def test_a_column_of_pickles_runs_where_a_reader_is_careless(hostile, tmp_path):
    (part,) = hostile.glob("*.parquet")
    harmless = tmp_path / "told"
    copy = tmp_path / "copy.parquet"
    with_column(part, copy, "fold", pickle.dumps(Payload(harmless)), PICKLED)
    pq.read_table(copy, columns=["fold"]).to_pandas()
    assert harmless.exists()


def test_shards_with_a_column_of_pickles(hostile):
    manifest, store = Manifest.load(str(hostile)), Store(str(hostile))
    said = "column 'patient' is of type ray.data.arrow_pickled_object, which a Python package defines"
    for read in (read_table, Known.read, lambda folder: load_corpus(folder, 100.0)):
        with pytest.raises(DataError, match=said):
            read(str(hostile))
    with pytest.raises(DataError, match=said):
        census(store, manifest.parts)
    assert any(said in line for line in problems(str(hostile)))


def test_a_table_with_a_column_of_pickles(hostile):
    (part,) = hostile.glob("*.parquet")
    for read in (read_text, patients.read):
        with pytest.raises(DataError, match="which a Python package defines"):
            read(part)


NESTED = {
    "list": pa.list_,
    "large list": pa.large_list,
    "list of three": lambda kind: pa.list_(kind, 3),
    "struct": lambda kind: pa.struct([("a", pa.int8()), ("b", pa.list_(kind))]),
    "map": lambda kind: pa.map_(pa.string(), kind),
}


@pytest.mark.parametrize("wrapped", NESTED)
def test_a_type_that_is_hidden_within_another(wrapped, tmp_path):
    from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType

    kind = NESTED[wrapped](ArrowPythonObjectType())
    pq.write_table(pa.table({"x": pa.nulls(1, kind)}), tmp_path / "x.parquet")
    with (tmp_path / "x.parquet").open("rb") as file, pytest.raises(DataError, match="column 'x' is of type"):
        open_parquet(file, "x")


def test_arrows_own_types_are_read(tmp_path):
    table = pa.table({"id": pa.array([b"0" * 16], pa.uuid()), "d": pa.array(["a"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "x.parquet")
    assert open_parquet(tmp_path / "x.parquet", "x").read().num_rows == 1


def test_the_description_of_a_tensor_type_is_not_unpickled(shards, ran, tmp_path):
    """Files of Ray 2.49 to 2.54 describe tensors by cloudpickle; Ray reads such a description only where a variable asks for it."""
    import ray.data  # noqa: F401

    (part,) = shards.glob("part*.parquet")
    for number, name in enumerate(
        (b"ray.data.arrow_tensor", b"ray.data.arrow_tensor_v2", b"ray.data.arrow_variable_shaped_tensor")
    ):
        copy = tmp_path / f"{number}.parquet"
        with_column(part, copy, "fold", [1.0], name, pickle.dumps(Payload(ran)))
        with pytest.raises((DataError, pa.ArrowException, ValueError, TypeError)):
            open_parquet(copy, "x").read().to_pandas()


@pytest.mark.parametrize("file", ["manifest.json", "plan.json"])
def test_a_manifest(file, shards, ran, tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / file).write_bytes(pickle.dumps(Payload(ran)))
    with pytest.raises((ClefRayError, UnicodeDecodeError)):
        Manifest.load(str(folder))
    with pytest.raises((ClefRayError, UnicodeDecodeError, ValueError)):
        record.load(Store(str(folder)), str(tmp_path))


TAGS = (
    "record: !!python/object/apply:{call} [{path}]",
    "record: !!python/object/new:{call} [{path}]",
    "record: !!python/name:{call} ''",
    "record: !!python/module:os ''",
    "!!python/object/apply:{call} [{path}]",
    "? !!python/object/apply:{call} [{path}]\n: x",
    "leads: [I, !!python/object/apply:{call} [{path}]]",
    "record: !own x",
)


@pytest.mark.parametrize("text", TAGS)
def test_a_map_with_tags(text, ran, tmp_path):
    (tmp_path / "map.yaml").write_text(text.format(call="os.mkdir", path=ran))
    with pytest.raises(ConfigError, match=r"map.yaml:1: a tag \(.*texts, numbers, lists and blocks"):
        Generic(str(tmp_path / "map.yaml"))


def test_the_tags_run_where_a_reader_is_careless(tmp_path):
    yaml.load(TAGS[0].format(call="os.mkdir", path=tmp_path / "ran"), Loader=yaml.UnsafeLoader)
    assert (tmp_path / "ran").exists()


def laughs(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(20), r"map.yaml:2: an alias \(\*a0\)"),
        ("a: &a [*a]", r"map.yaml:1: an alias \(\*a\)"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: " + "{a: " * 5000 + "}" * 5000, "nested too deeply"),
    ],
)
def test_a_map_that_would_grow_without_end(text, said, tmp_path):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        Generic(str(tmp_path / "map.yaml"))


MAP = "table: t.parquet\nrecord: r\nformat: npy\nleads: [I]\nrate: 100\npath: '{path}'\n"


@pytest.mark.parametrize("path", ["../{f}", "/etc/{f}", "a/../../{f}"])
def test_a_map_that_leads_out_of_its_folder(path, tmp_path):
    (tmp_path / "map.yaml").write_text(MAP.format(path=path))
    with pytest.raises(ConfigError, match=r"map\.yaml:6: path: is to be below root"):
        Generic(str(tmp_path / "map.yaml"))


@pytest.mark.filterwarnings("ignore:.*names no `patient` column")
@pytest.mark.parametrize("cell", ["../secret", "/etc/passwd", "a/../../b", "x\0y"])
def test_a_table_that_leads_out_of_its_folder(cell, tmp_path):
    (tmp_path / "map.yaml").write_text(MAP.format(path="{f}"))
    pq.write_table(pa.table({"r": ["1", "2"], "f": [cell, "inside.npy"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="1 of 2 rows name a file that is not below root") as error:
        Generic(str(tmp_path / "map.yaml")).table()
    assert cell not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*names no `patient` column")
def test_a_template_that_asks_for_more_than_a_column(tmp_path):
    (tmp_path / "map.yaml").write_text(MAP.format(path="{f.__class__.__mro__}"))
    pq.write_table(pa.table({"r": ["1"], "f": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match=r"unknown column 'f\.__class__"):
        Generic(str(tmp_path / "map.yaml")).table()


@pytest.mark.parametrize("file", ["../secret.dat", "/etc/passwd", "http://127.0.0.1:9/x.dat"])
def test_a_wfdb_header_that_names_a_file_elsewhere(file, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.dat").write_bytes(np.arange(100, dtype="<i2").tobytes())
    for name, text in {"a": f"a 1 100 100\n{file} 16 200/mV 16 0 0 0 0 I\n", "b": f"b/1 1 100 100\n{file[:-4]} 100\n"}.items():  # fmt: skip
        (folder / f"{name}.hea").write_text(text)
        for read in (read_header, read_wfdb):
            with pytest.raises(UnreadableError):
                read(folder / name)


def test_a_journal(ran, tmp_path):
    """A study's file is lines of JSON; a pickle in its place, or in a line, is no line."""
    path = tmp_path / "optuna.log"
    for content in (pickle.dumps(Payload(ran)) + b"\n", b'"' + pickle.dumps(Payload(ran), 0).hex().encode() + b'"\n'):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises((TrackingError, ValueError, TypeError, KeyError)):
            open_storage(f"journal:///{path}").get_all_studies()


@pytest.fixture
def evolved():
    """A study that CMA-ES has gone through a generation of."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler("cmaes", "x", 0))
    study.optimize(objective, 12)
    return study


def objective(trial):
    return sum(trial.suggest_float(name, -1, 1) ** 2 for name in "abc")


def states(study):
    """The attributes of the trials in which Optuna keeps what CMA-ES has learnt."""
    held = [study._storage._get_trial(t._trial_id).system_attrs for t in study.trials]
    return [attributes for attributes in held if "cma:optimizer:0" in attributes]


def test_a_study_of_cma_es_goes_on_from_its_state(evolved):
    before = states(evolved)[-1]["cma:generation"]
    evolved.sampler = sampler("cmaes", "x", 12)  # as another process begins
    evolved.optimize(objective, 10)
    assert evolved.trials[-1].system_attrs["cma:generation"] > before


@pytest.mark.parametrize("damage", ["code", "text", "half"])
def test_a_study_whose_state_of_cma_es_is_a_strangers(damage, evolved, ran):
    for attributes in states(evolved):
        pieces = sorted(key for key in attributes if key.startswith("cma:optimizer:"))
        whole = "".join(attributes.pop(key) for key in pieces)
        wrong = {
            "code": pickle.dumps(Payload(ran)).hex(),
            "text": "no hex",
            "half": whole[: len(whole) // 4 * 2],
        }
        attributes["cma:optimizer:0"] = wrong[damage]
    with pytest.raises(TrackingError, match="does not hold a state of CMA-ES") as error:
        evolved.optimize(objective, 1)
    assert ("io.open is no part of it" in str(error.value)) == (damage == "code")


def test_a_cluster_file_with_tags_is_refused_by_ray_up(ran, tmp_path):
    """What stands in setup_commands runs, of course: a cluster file is a program. A tag does not."""
    from ray.autoscaler.sdk import create_or_update_cluster

    path = tmp_path / "cluster.yaml"
    path.write_text(f"cluster_name: x\nprovider: !!python/object/apply:os.mkdir [{ran}]\n")
    with pytest.raises(yaml.constructor.ConstructorError, match="could not determine a constructor"):
        create_or_update_cluster(str(path))
    with pytest.raises(ConfigError, match="is not YAML"):
        shared.load(str(path))
