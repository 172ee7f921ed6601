"""Noise that views are given: its spectrum, its RMS, its lead, and that it is never written to."""

import numpy as np
import pytest
import torch
from recordings import CPU, batch_of, noise

from clef_ray.augment import Noise, NoiseBank, two_views
from clef_ray.augment.noise import KINDS, bank_of, require_bank, synthetic
from clef_ray.config import Signals, Views
from clef_ray.errors import ConfigError

SIGNALS = Signals(fs=100, seconds=5)


@pytest.mark.parametrize(
    ("kind", "inside"), [("wander", (0.05, 0.6)), ("electrode", (0.5, 8)), ("motion", (5, 45))]
)
@pytest.mark.parametrize("fs", [100.0, 500.0])
def test_synthetic_noise_has_an_rms_of_one_in_its_own_band(kind, inside, fs):
    made = synthetic(fs, 600.0)[KINDS.index(kind)].astype(np.float64)
    assert np.sqrt(np.mean(made**2)) == pytest.approx(1, abs=1e-3)
    f, power = np.fft.rfftfreq(len(made), 1 / fs), np.abs(np.fft.rfft(made)) ** 2
    assert power[(f >= inside[0]) & (f <= inside[1])].sum() / power.sum() > 0.999


def test_a_mixture_is_the_mean_power_of_the_kinds():
    power = np.abs(np.fft.rfft(synthetic(100.0, 600.0).astype(np.float64))) ** 2
    np.testing.assert_allclose(power[3], power[:3].mean(axis=0), atol=1e-6 * power.max())


def added(made: Noise, kind: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """What is added to 500 samples of silence, at an RMS of 1."""
    x = torch.zeros(len(kind), 500)
    made.add_(x, made.stretch(kind, torch.zeros_like(kind), start, 500), torch.ones(len(kind), 1))
    return x


def test_cuts_are_standardised_and_begin_anywhere_in_their_own_row():
    made = noise(SIGNALS)
    kind = torch.arange(4).repeat_interleave(50)
    start = torch.rand(200, generator=torch.Generator().manual_seed(0))
    cut = added(made, kind, start)
    assert torch.allclose(cut.mean(1), torch.zeros(200), atol=1e-5)
    assert torch.allclose(cut.square().mean(1).sqrt(), torch.ones(200), atol=1e-3)
    rows = made.rows_KCL[:, 0].numpy()
    for n in (0, 60, 130, 199):
        first = int(start[n].item() * (rows.shape[1] - 500 + 1))
        piece = rows[n // 50, first : first + 500]
        np.testing.assert_allclose(cut[n], (piece - piece.mean()) / piece.std(), atol=1e-3)
    last = added(made, torch.tensor([3]), torch.tensor([1 - 2**-24]))
    assert torch.isfinite(last).all(), "the last stretch of the last row"


def bank(fs: float = 100.0) -> NoiseBank:
    """Noise that tells its kind and lead: a sine of (1 + kind) * 5 + lead Hz, of 20 s."""
    t = np.arange(round(20 * fs)) / fs
    hz = 5 * (1 + np.arange(3))[:, None] + np.arange(2)
    waves = np.sin(2 * np.pi * hz[..., None] * t) * 7 + 3
    return NoiseBank(("wander", "electrode", "motion"), ("I", "II"), fs, waves.astype(np.float32))


@pytest.mark.parametrize("fs", [100.0, 200.0])
def test_a_view_gets_noise_of_its_own_lead_at_the_stated_rms(fs):
    """Views of a silent record are the noise alone. The feed's leads are in another order than the bank's."""
    made = Noise.of(bank(fs), SIGNALS, ("II", "I"), CPU)
    views = Views(lead="random", noise_mv=0.1, mask_probability=0)
    lead = [[n % 2, (n // 2) % 2] for n in range(120)]
    silent = batch_of(torch.zeros(120, 2, 500), lead=lead)
    before = made.rows_KCL.clone()
    found = two_views(silent, 0, 0, SIGNALS, views, made).numpy()
    assert torch.equal(made.rows_KCL, before)
    peak = np.abs(np.fft.rfft(found)).argmax(axis=1) / 5
    seen = set()
    for row, hz in enumerate(peak):
        if np.abs(found[row]).max() == 0:
            seen.add("none")
            continue
        kind, of_lead = divmod(round(hz), 5)
        assert of_lead == 1 - lead[row % 120][row // 120], (
            "the first of the feed's leads is the bank's second"
        )
        seen.add(kind)
    assert seen == {"none", 1, 2, 3}
    assert (peak[np.abs(found).max(1) == 0]).size == pytest.approx(240 / 4, abs=25), (
        "each kind and none as often"
    )


def test_the_rms_of_what_is_added_is_the_stated_one():
    """The band-passed signal is a sine of known RMS; noise of equal RMS doubles the power."""
    t = torch.arange(500) / 100
    x = 0.1 * 2**0.5 * torch.sin(2 * torch.pi * 20 * t).repeat(200, 2, 1)
    views = Views(lead="I", noise_mv=0.1, mask_probability=0)
    found = two_views(batch_of(x), 0, 0, SIGNALS, views, Noise.of(bank(), SIGNALS, ("I",), CPU)).numpy()
    power = np.abs(np.fft.rfft(found[:, 100:400])) ** 2
    at_20 = power[:, 59:62].sum(axis=1) / power[:, 1:].sum(axis=1)
    noisy = at_20 < 0.9
    assert noisy.mean() == pytest.approx(0.75, abs=0.1)
    assert at_20[noisy] == pytest.approx(0.5, abs=0.05)


def test_a_thousand_views_leave_the_noise_as_it_was():
    made, x = noise(SIGNALS), torch.randn(50, 2, 500, generator=torch.Generator().manual_seed(0))
    before = made.rows_KCL.clone()
    for epoch in range(10):
        two_views(batch_of(x), 0, epoch, SIGNALS, Views(lead="I"), made)
    assert torch.equal(made.rows_KCL, before)


def test_a_lead_without_noise_and_a_window_longer_than_it_are_refused():
    with pytest.raises(ConfigError, match="noise of leads I, II, none of V1"):
        Noise.of(bank(), SIGNALS, ("I", "V1"), CPU)
    with pytest.raises(ConfigError, match="lasts 20 s"):
        Noise.of(bank(), Signals(fs=100, seconds=30), ("I",), CPU)


def test_synthetic_noise_needs_no_bank_and_a_bank_that_is_not_there_is_named(tmp_path):
    assert bank_of(Views(), str(tmp_path)) is None
    require_bank(Views(), str(tmp_path))
    full = bank().save("sines", str(tmp_path))
    require_bank(Views(noise=full), str(tmp_path))
    assert np.array_equal(bank_of(Views(noise=full), str(tmp_path)).noise_KCL, bank().noise_KCL)
    for look in (bank_of, require_bank):
        with pytest.raises(ConfigError, match=f"(?s)unknown noise bank 'sines-00000000'.*{full}"):
            look(Views(noise="sines-00000000"), str(tmp_path))
