"""The three-line use of a trained encoder, and everything that can go wrong with it."""

import numpy as np
import pytest
import torch

import clef_ray
from clef_ray.augment import preprocess
from clef_ray.config import Run, override, to_dict
from clef_ray.distributed import load_state, save_state
from clef_ray.errors import ConfigError, DataError, StorageError
from clef_ray.evaluate.embedder import PIECE, Embedder
from clef_ray.store import Store
from clef_ray.train.loop import ENCODER, build_encoder, finish


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run = override(Run(), {"method": "random", "signals.fs": 100}).canonical()
    finish(run, build_encoder(run), [], Store(str(folder)), {"leads": ["I"]})
    return folder


def signal(seconds=10.0, fs=500.0):
    t = np.arange(round(seconds * fs)) / fs
    return np.exp(-0.5 * ((t * 1.1 % 1) - 0.4) ** 2 / 0.015**2) + 0.1 * np.sin(2 * np.pi * 0.3 * t)


def test_three_lines(run_folder):
    encoder = clef_ray.load(str(run_folder))
    z_D = encoder.embed(signal(), fs=500, lead="I")
    assert z_D.shape == (encoder.dim,) == (256,)
    assert np.isfinite(z_D).all()
    assert encoder.embed(np.stack([signal()] * 3), fs=500, lead="I").shape == (3, 256)
    assert np.array_equal(clef_ray.load(str(run_folder / ENCODER)).embed(signal(), fs=500), z_D)


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_and_threads_do_not_matter(run_folder, threads):
    """More windows than one piece holds, against the encoder on all of them at once."""
    embedder = Embedder.load(str(run_folder), device="cpu")
    x_NT = np.random.default_rng(0).normal(size=(PIECE + 3, 1000)).astype(np.float32)
    with torch.inference_mode():
        whole = embedder.encoder(preprocess(torch.from_numpy(x_NT), embedder.run.signals)[:, None]).numpy()
    x_NT.flags.writeable = False
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        np.testing.assert_allclose(embedder.features(x_NT), whole, rtol=0, atol=1e-6)
    finally:
        torch.set_num_threads(before)


def test_the_rate_of_the_recording_hardly_matters(run_folder):
    encoder = clef_ray.load(str(run_folder))
    a, b = encoder.embed(signal(), fs=500), encoder.embed(signal(fs=250.0), fs=250)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


def test_a_scale_and_an_offset_do_not_matter(run_folder):
    encoder = clef_ray.load(str(run_folder))
    np.testing.assert_allclose(
        encoder.embed(signal() * 3 + 1, fs=500), encoder.embed(signal(), fs=500), atol=1e-3
    )


def test_long_recordings_are_averaged_over_windows(run_folder):
    encoder = clef_ray.load(str(run_folder))
    first, second = signal(), signal()[::-1].copy()
    whole = encoder.embed(np.concatenate([first, second]), fs=500)
    np.testing.assert_allclose(
        whole, (encoder.embed(first, fs=500) + encoder.embed(second, fs=500)) / 2, atol=0.02
    )


@pytest.mark.parametrize(
    ("bad", "options", "words"),
    [
        (signal(1.0), {}, "less than 2.0 s"),
        (np.where(np.arange(5000) == 3, np.nan, signal()), {}, "1 samples are NaN"),
        (np.zeros(5000), {}, "flat"),
        (np.stack([signal(), np.ones(5000)]), {}, "1 of 2 signals are flat"),
        (np.zeros((2, 3, 5000)), {}, r"shape \(2, 3, 5000\)"),
    ],
)
def test_signals_that_mean_nothing_are_refused(run_folder, bad, options, words):
    with pytest.raises(DataError, match=words):
        clef_ray.load(str(run_folder)).embed(bad, fs=500, **options)


def test_an_unknown_lead_is_refused(run_folder):
    with pytest.raises(ConfigError, match=r"unknown lead 'AVL'.*aVL"):
        clef_ray.load(str(run_folder)).embed(signal(), fs=500, lead="AVL")


def test_another_lead_than_the_one_it_was_trained_on_warns(tmp_path):
    run = override(Run(), {"signals.fs": 100, "views.lead": "I"}).canonical()
    finish(run, build_encoder(run), [], Store(str(tmp_path)), {"leads": ["I"]})
    with pytest.warns(UserWarning, match="pretrained on lead I only and is used on lead V5"):
        clef_ray.load(str(tmp_path)).embed(signal(), fs=500, lead="V5")


def test_what_is_no_encoder_is_named(tmp_path, run_folder):
    with pytest.raises(StorageError, match=r"no trained encoder at .*encoder\.pt"):
        clef_ray.load(str(tmp_path))
    save_state(Store(str(tmp_path)), "other.pt", {"x": torch.zeros(1)})
    with pytest.raises(StorageError, match="lacks 'encoder' and 'run'"):
        clef_ray.load(str(tmp_path / "other.pt"))
    state = load_state(Store(str(run_folder)), ENCODER)
    state["run"] = to_dict(override(Run(), {"method": "random", "encoder.size": "M"}))
    save_state(Store(str(tmp_path)), ENCODER, state)
    with pytest.raises(StorageError, match="do not fit encoder 'clef'"):
        clef_ray.load(str(tmp_path))


def test_a_file_with_code_in_it_is_not_executed(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"encoder": Evil(), "run": {}}, tmp_path / ENCODER, pickle_module=pickle)
    with pytest.raises(StorageError, match="not a clef_ray checkpoint"):
        clef_ray.load(str(tmp_path))
    assert not (tmp_path / "executed").exists()
