"""Banks of recorded noise: what files they are made of, and that their name says what is in them."""

import numpy as np
import pytest
import scipy.io

from clef_ray.augment.bank import NoiseBank, load_bank, read_bank
from clef_ray.cli import main
from clef_ray.errors import ConfigError, DataError, StorageError

NAMES = ("motion_artefacts", "electrode_movement", "baseline_wander", "mixture_of_noises")


def mat(path, samples=3611, rows=15, names=NAMES):
    """A file laid out as DATA_noises_real.mat, of 2 Hz: row r of the array number n is noise around 100 n + r."""
    rng = np.random.default_rng(0)
    arrays = {
        name: 100 * n + np.arange(rows)[:, None] + rng.normal(size=(rows, samples)) / 9
        for n, name in enumerate(names)
    }
    scipy.io.savemat(path, arrays)
    return str(path)


def test_the_published_file_gives_four_kinds_of_fifteen_leads(tmp_path):
    bank = read_bank(mat(tmp_path / "DATA_noises_real.mat"))
    assert bank.kinds == ("wander", "electrode", "motion", "mixture")
    assert bank.leads == (
        "I",
        "II",
        "III",
        "aVR",
        "aVL",
        "aVF",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
        "X",
        "Y",
        "Z",
    )
    assert bank.fs == 2, "650,000 / 360 s are 3,611 samples at 2 Hz"
    level = bank.noise_KCL.mean(axis=-1)
    np.testing.assert_allclose(level, np.array([200, 100, 0, 300])[:, None] + np.arange(15), atol=0.05)
    two = bank.of_leads(("V6", "aVR"))
    np.testing.assert_array_equal(two.noise_KCL, bank.noise_KCL[:, [11, 3]])


@pytest.mark.parametrize(("samples", "fs"), [(1_805_556, 1000.0), (902_778, 500.0)])
def test_the_rate_of_the_published_file_is_told_by_its_length(tmp_path, samples, fs):
    from clef_ray.augment.bank import _rate

    assert _rate(samples, tmp_path) == fs


def test_what_is_wrong_with_a_file_is_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_bank(str(tmp_path / "none.mat"))
    with pytest.raises(DataError, match="lacks baseline_wander, mixture_of_noises"):
        read_bank(mat(tmp_path / "a.mat", names=NAMES[:2]))
    with pytest.raises(DataError, match="15 rows of one length"):
        read_bank(mat(tmp_path / "b.mat", rows=12))
    with pytest.raises(DataError, match="give --fs"):
        read_bank(mat(tmp_path / "c.mat", samples=3000))
    assert read_bank(mat(tmp_path / "c.mat", samples=3000), 500.0).fs == 500
    (tmp_path / "d.mat").write_bytes(b"MATLAB 7.3" * 100)
    (tmp_path / "d.npz").write_bytes(b"PK" * 100)
    (tmp_path / "d.csv").write_bytes(b"1,2")
    for name in ("d.mat", "d.npz", "d.csv"):
        with pytest.raises(DataError, match=name):
            read_bank(str(tmp_path / name))


def test_any_npz_of_kinds_is_a_bank(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", wander=rng.normal(size=900), hum=rng.normal(size=900), fs=250)
    bank = read_bank(str(tmp_path / "a.npz"))
    assert (bank.kinds, bank.leads, bank.fs, bank.noise_KCL.shape) == (
        ("wander", "hum"),
        (),
        250,
        (2, 1, 900),
    )
    assert bank.of_leads(("V3",)) is bank, "one noise for every lead"
    np.savez(tmp_path / "b.npz", hum=rng.normal(size=(2, 900)), leads=["ii", "AVR"])
    assert read_bank(str(tmp_path / "b.npz"), 100.0).leads == ("II", "aVR")
    with pytest.raises(DataError, match="'fs'"):
        read_bank(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", hum=rng.normal(size=(3, 900)), leads=["I", "II"], fs=1)
    with pytest.raises(DataError, match="1 kinds and 2 leads"):
        read_bank(str(tmp_path / "c.npz"))
    np.savez(tmp_path / "d.npz", hum=np.stack([np.ones(900), rng.normal(size=900)]), leads=["I", "II"], fs=1)
    with pytest.raises(DataError, match="1 of 2 stretches of noise are flat"):
        read_bank(str(tmp_path / "d.npz"))


def test_a_banks_name_is_its_content(tmp_path):
    rng = np.random.default_rng(0)
    bank = NoiseBank(("hum",), ("I",), 100.0, rng.normal(size=(1, 1, 900)).astype(np.float32))
    full = bank.save("mine", str(tmp_path))
    assert full == f"mine-{bank.mark}"
    assert bank.save("mine", str(tmp_path)) == full
    assert load_bank(full, str(tmp_path)).mark == bank.mark
    changes = [
        NoiseBank(("buzz",), ("I",), 100.0, bank.noise_KCL),
        NoiseBank(("hum",), ("II",), 100.0, bank.noise_KCL),
        NoiseBank(("hum",), ("I",), 200.0, bank.noise_KCL),
        NoiseBank(("hum",), ("I",), 100.0, bank.noise_KCL * np.float32(1.01)),
    ]
    assert len({bank.mark, *(other.mark for other in changes)}) == 5
    file = tmp_path / "noise" / f"{changes[3].save('mine', str(tmp_path))}.npz"
    file.replace(tmp_path / "noise" / f"{full}.npz")
    with pytest.raises(StorageError, match="was changed"):
        load_bank(full, str(tmp_path))
    with pytest.raises(ConfigError, match=r"--name '\.\./x'"):
        bank.save("../x", str(tmp_path))


def test_the_verb_says_what_to_set(tmp_path, capsys):
    file = mat(tmp_path / "DATA_noises_real.mat")
    assert main(["noise", file, "--name", "nstdb", "--storage", str(tmp_path / "s")]) == 0
    said = capsys.readouterr().out
    (made,) = (tmp_path / "s" / "noise").iterdir()
    assert f"--set views.noise={made.stem}" in said
    assert "wander, electrode, motion, mixture: 1805.5 s at 2 Hz" in said
    assert main(["noise", str(tmp_path / "x.mat"), "--name", "nstdb"]) == 2
    wanted = ["pretrain", "--storage", str(tmp_path / "s"), "--set", "views.noise=nstdb-12345678"]
    assert main(wanted) == 2
    assert made.stem in capsys.readouterr().err, "told before anything is made"
    assert not (tmp_path / "s" / "shards").exists()


@pytest.mark.parametrize("kept", [0, 60, 130, 200, -1])
def test_a_matlab_file_that_is_cut_off_anywhere_is_named(tmp_path, kept):
    scipy.io.savemat(tmp_path / "whole.mat", {"baseline_wander": np.zeros((15, 300))}, do_compression=True)
    (tmp_path / "cut.mat").write_bytes((tmp_path / "whole.mat").read_bytes()[:kept])
    with pytest.raises(DataError, match=r"cut\.mat: cannot be read"):
        read_bank(str(tmp_path / "cut.mat"))
