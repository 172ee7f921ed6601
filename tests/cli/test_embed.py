"""`clef-ray embed` on WFDB records of many kinds, and on shards: what comes out, in which order, and what is told of the rest."""

import re
import subprocess
import sys

import net1d_numpy
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import wfdb

from clef_ray.cli import main
from clef_ray.config import Run, override, spec
from clef_ray.datasets.synthetic import Synthetic
from clef_ray.encoders.clef import Clef
from clef_ray.evaluate.embedder import Embedder
from clef_ray.registry import ENCODERS
from clef_ray.shards import ingest_local, load_corpus
from clef_ray.store import Store
from clef_ray.train.loop import build_encoder, finish
from clef_ray.weights import Weights, load, save

SETTINGS = {"method": "random", "signals.fs": 100, "signals.seconds": 4}


def ecg(seconds, fs, seed=0):
    """Beats and a little noise, mV."""
    t = np.arange(round(seconds * fs)) / fs
    rate = 1 + 0.1 * seed
    noise = np.random.default_rng(seed).normal(0, 0.02, len(t))
    return np.exp(-0.5 * ((t * rate % 1) - 0.4) ** 2 / 0.02**2) + noise


def record(folder, name, signals, fs, leads, fmt="16"):
    """signals: [leads] of [samples], mV."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(leads)
    wfdb.wrsamp(name, fs=fs, units=["mV"] * count, sig_name=list(leads), p_signal=np.stack(signals, 1), fmt=[fmt] * count,
                adc_gain=[200.0] * count, baseline=[0] * count, write_dir=str(folder))  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    run = override(Run(), SETTINGS)
    save(Weights.of_run(build_encoder(run), run, ("I", "II")), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of several rates and lengths, in subfolders; two that cannot be used, and one whose samples are partly invalid."""
    at = tmp_path_factory.mktemp("records")
    record(at, "a", [ecg(4, 100, 1), ecg(4, 100, 2)], 100, ("II", "I"))
    record(at, "b", [ecg(4, 100, 3)], 100, ("i",))
    record(at / "deep", "c", [ecg(9, 360, 4)], 360, ("I",), "212")
    record(at / "deep", "d", [ecg(3, 250, 5)], 250, ("MLII",))
    gap = ecg(4, 100, 6)
    gap[50:55] = np.nan
    record(at, "e", [gap], 100, ("I",))
    record(at, "f", [np.full(400, 0.5)], 100, ("I",))
    record(at, "g", [ecg(1, 100)], 100, ("I",))
    (at / "RECORDS").write_text("deep/\nb\n\nabsent\n")
    (at / "deep" / "RECORDS").write_text("c\n")
    return at


def embed(capsys, weights, given, out, *more):
    """Exit code, rows by record, standard output, standard error."""
    given = [given] if isinstance(given, str) else [str(name) for name in given]
    code = main(
        ["embed", "--weights", str(weights), "--input", *given, "--out", str(out), "--device", "cpu", *more]
    )
    said = capsys.readouterr()
    rows = pq.read_table(out).to_pylist() if out.is_file() else []
    return code, {row["record"]: row for row in rows}, said.out, said.err


def test_a_folder_of_records(capsys, weights, folder, tmp_path):
    """Every vector is what `Embedder.embed` makes of the samples themselves; the order is that of the paths."""
    code, rows, out, err = embed(capsys, weights, [folder], tmp_path / "x.parquet")
    assert code == 1
    assert list(rows) == [str(folder / name) for name in ("a", "b", "deep/c", "e")]
    assert out == f"{tmp_path / 'x.parquet'}: 4 of 7 records, lead I, 256 numbers each\n"
    assert "not embedded, leads: 1" in err
    assert "deep/d: lacks I; it has MLII" in err
    assert "not embedded, flat lead: 1" in err
    assert "not embedded, length: 1" in err
    read = load(weights)
    embedder = Embedder(read.encoder, read.run(), "cpu")
    expected = {"a": (ecg(4, 100, 2), 100), "b": (ecg(4, 100, 3), 100), "deep/c": (ecg(9, 360, 4), 360)}
    for name, (x_T, fs) in expected.items():
        row = rows[str(folder / name)]
        rounded = np.rint(x_T * 200) / 200
        z_D = embedder.embed(rounded, fs=fs, lead="I")
        np.testing.assert_allclose(row["embedding"], z_D, rtol=1e-4, atol=1e-5)
        assert (row["lead"], row["seconds"]) == ("I", len(x_T) / fs)


def test_invalid_samples_are_bridged(capsys, weights, folder, tmp_path):
    _, rows, _, _ = embed(capsys, weights, [folder / "e"], tmp_path / "x.parquet")
    x_T = np.rint(ecg(4, 100, 6) * 200) / 200
    x_T[50:55] = np.interp(np.arange(50, 55), [49, 55], [x_T[49], x_T[55]])
    read = load(weights)
    z_D = Embedder(read.encoder, read.run(), "cpu").embed(x_T, fs=100)
    np.testing.assert_allclose(rows[str(folder / "e")]["embedding"], z_D, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", ["1", "64"])
def test_the_batch_does_not_matter(capsys, weights, folder, tmp_path, batch):
    given = [folder / name for name in ("b", "a.hea", "b", "e")]
    code, rows, _, err = embed(capsys, weights, given, tmp_path / "x.parquet", "--batch", batch)
    assert (code, err) == (0, "")
    assert list(rows) == [str(folder / name) for name in ("b", "a", "e")], "each once"
    _, alone, _, _ = embed(capsys, weights, [folder / "a"], tmp_path / "y.parquet")
    np.testing.assert_allclose(rows[str(folder / "a")]["embedding"], alone[str(folder / "a")]["embedding"], rtol=1e-5, atol=1e-6)  # fmt: skip


def test_records_of_equal_length_at_other_rates_are_not_mixed(capsys, weights, tmp_path):
    record(tmp_path, "fast", [ecg(4, 200, 1)], 200, ("I",))
    record(tmp_path, "slow", [ecg(8, 100, 2)], 100, ("I",))
    _, both, _, _ = embed(capsys, weights, [tmp_path / "fast", tmp_path / "slow"], tmp_path / "x.parquet")
    _, alone, _, _ = embed(capsys, weights, [tmp_path / "slow"], tmp_path / "y.parquet")
    slow = str(tmp_path / "slow")
    assert [row["seconds"] for row in both.values()] == [4, 8]
    np.testing.assert_allclose(both[slow]["embedding"], alone[slow]["embedding"], rtol=1e-5, atol=1e-6)


def test_a_list_of_records(capsys, weights, folder, tmp_path):
    """Folders that hold a list themselves; what is listed but not there is counted."""
    code, rows, _, err = embed(capsys, weights, [folder / "RECORDS"], tmp_path / "x.parquet")
    assert (code, list(rows)) == (1, [str(folder / "deep" / "c"), str(folder / "b")])
    assert "not embedded, missing file: 1\n" in err
    assert "absent: absent.hea" in err


def test_another_lead_by_the_name_the_record_has(capsys, weights, folder, tmp_path):
    code, rows, _, err = embed(
        capsys, weights, [folder / "deep" / "d"], tmp_path / "x.parquet", "--lead", "MLII"
    )
    assert (code, err, rows[str(folder / "deep" / "d")]["lead"]) == (0, "", "MLII")
    code, rows, _, _ = embed(capsys, weights, [folder / "a"], tmp_path / "x.parquet", "--lead", "ii")
    assert (code, rows[str(folder / "a")]["lead"]) == (0, "II")


def test_a_run_and_its_weights_give_the_same(capsys, weights, folder, tmp_path):
    run = override(Run(), SETTINGS).canonical()
    encoder = load(weights).encoder
    finish(run, encoder, [], Store(str(tmp_path / "run")), {"leads": ["I"]})
    vectors = []
    for where in (weights, tmp_path / "run", tmp_path / "run" / "encoder.pt"):
        code, rows, _, _ = embed(capsys, where, [folder / "a"], tmp_path / "x.parquet")
        assert code == 0
        vectors.append(rows[str(folder / "a")]["embedding"])
    assert vectors[0] == vectors[1] == vectors[2]
    about = pq.read_schema(tmp_path / "x.parquet").metadata
    assert about[b"weights"].endswith(b"encoder.pt")
    assert b'"fs": 100.0' in about[b"signals"]


def test_a_released_checkpoint(capsys, folder, tmp_path):
    tensors = {f"backbone.{n}": torch.from_numpy(v) for n, v in net1d_numpy.made_up().items()}
    torch.save({"epoch": 99, "state_dict": tensors}, tmp_path / "clef_small.ckpt")
    code, rows, _, _ = embed(
        capsys, tmp_path / "clef_small.ckpt", [folder / "a", folder / "b"], tmp_path / "x.parquet"
    )
    assert (code, len(rows)) == (0, 2)
    schema = pq.read_schema(tmp_path / "x.parquet")
    assert schema.metadata[b"weights"] == b"CLEF, size S, 1 lead: clef_small.ckpt"
    assert len(schema.metadata[b"sha256"]) == 64
    assert str(schema.field("embedding").type) == "fixed_size_list<element: float>[256]"


def test_shards_give_what_the_evaluation_sees(capsys, weights, tmp_path):
    ingest_local(Synthetic(patients=3), str(tmp_path / "shards"))
    code, rows, _, _ = embed(capsys, weights, [tmp_path / "shards"], tmp_path / "x.parquet", "--lead", "V2")
    corpus = load_corpus(str(tmp_path / "shards"), 100, ("V2",))
    assert (code, list(rows)) == (0, corpus.table["record"].tolist())
    read = load(weights)
    x_NT = corpus.millivolts(np.arange(len(rows)), "V2")
    z_ND = Embedder(read.encoder, read.run(), "cpu").embed(x_NT, fs=100, lead="V2")
    np.testing.assert_allclose([row["embedding"] for row in rows.values()], z_ND, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--out": "x.csv"}, r"must end in \.parquet"),
        ({"--batch": "0"}, "--batch 0: at least 1"),
        ({"--input": "nowhere"}, "no folder, no RECORDS list, and no record"),
        ({"--input": "."}, r"no WFDB record in it"),
        ({"--weights": "none.ckpt"}, "no weights at none"),
        ({"--weights": "none"}, "no weights at none"),
        ({"--weights": "hf://x"}, "hf://owner/name"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(capsys, weights, folder, tmp_path, monkeypatch, change, told):
    monkeypatch.chdir(tmp_path)
    options = {"--weights": str(weights), "--input": str(folder / "a"), "--out": "x.parquet"} | change
    assert main(["embed", *(word for pair in options.items() for word in pair)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert re.search(told, err)
    assert list(tmp_path.iterdir()) == []


def test_twelve_leads_at_once_are_refused(capsys, folder, tmp_path):
    run = override(Run(encoder=spec(ENCODERS, "clef", {"in_leads": 12})), SETTINGS)
    save(Weights.of_run(Clef(in_leads=12), run, ("I",) * 12), tmp_path / "w.safetensors")
    code, _, _, err = embed(capsys, tmp_path / "w.safetensors", [folder / "a"], tmp_path / "x.parquet")
    assert code == 2
    assert "takes 12 leads at once" in err


def test_nothing_is_left_of_a_table_that_was_not_finished(capsys, weights, folder, tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_text("before")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    assert main(["embed", "--weights", str(weights), "--input", str(folder / "a"), "--out", str(tmp_path / "x.parquet")]) == 2  # fmt: skip
    assert "cannot be written: [Errno 28]" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]
    assert (tmp_path / "x.parquet").read_text() == "before"


def test_help_shows_examples():
    done = subprocess.run([sys.executable, "-m", "clef_ray", "embed", "--help"], capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    assert "clef-ray embed --weights clef_small.ckpt --input" in done.stdout


@pytest.mark.realdata
def test_real_records(capsys, weights, realdata, tmp_path):
    """One lead at 300 Hz; three Frank leads in a signal file of their own, at 1000 Hz."""
    for record_path, lead, seconds in (
        ("cinc2017_subset/A00064", "ECG", None),
        ("ptbdb/s0010_re", "vy", 38.4),
    ):
        path = realdata / record_path
        code, rows, _, _ = embed(capsys, weights, [path], tmp_path / "x.parquet", "--lead", lead)
        row = rows[str(path)]
        assert code == 0
        assert np.isfinite(row["embedding"]).all()
        assert seconds is None or row["seconds"] == pytest.approx(seconds)
