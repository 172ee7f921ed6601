"""The generated signals, measured: by neurokit2 (a public delineator) and by the spatial velocity of the averaged beat.

Ranges: normal PR 120-200 ms and QTc up to 450 (men) or 460 ms (women), QRS below 120 ms, bundle-branch block at least 120 ms
(Surawicz, Circulation 2009;119:e235; Rautaharju, Circulation 2009;119:e241); Sokolow-Lyon above 3.5 mV in LVH.
"""

import neurokit2 as nk
import numpy as np
import pytest

from clef_ray.datasets import LEADS
from clef_ray.datasets.synthetic import Synthetic

PER_CLASS = 8
INDEPENDENT = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]


@pytest.fixture(scope="module")
def records():
    """Class -> millivolts of the first patients who have that diagnosis alone."""
    cohort = Synthetic(patients=1500, seed=3, noise=0.5)
    table = cohort.table().drop_duplicates("patient")
    alone = table[table["label_diagnosis"].map(len) == 1]
    by_class = alone.groupby(alone["label_diagnosis"].map(lambda names: names[0]))
    return {
        name: [cohort.signal(row).millivolts() for row in rows.head(PER_CLASS).to_dict("records")]
        for name, rows in by_class
    }


def smooth(lead):
    return nk.signal_filter(lead, 500, lowcut=0.5, highcut=40, method="butterworth", order=2)


def r_peaks(mv):
    size = np.sqrt(sum(smooth(mv[LEADS.index(lead)]) ** 2 for lead in ("I", "II", "V2", "V5")))
    return nk.ecg_peaks(size, 500)[1]["ECG_R_Peaks"]


def averaged_beat(mv):
    """[12, 500]: the median of all whole beats, from 400 ms before to 600 ms after R, against the level before P or QRS."""
    peaks = [r for r in r_peaks(mv) if 200 <= r < mv.shape[1] - 300]
    beat = np.median([mv[:, r - 200 : r + 300] for r in peaks], axis=0)
    return beat - np.median(beat[:, 140:160], axis=1, keepdims=True)


def neurokit(mv):
    """Rate [1/min], PR, QRS, QT [ms]: neurokit's, the median over beats and over four leads."""
    peaks = r_peaks(mv)
    found = []
    for lead in ("I", "II", "V5", "V6"):
        waves = nk.ecg_delineate(smooth(mv[LEADS.index(lead)]), peaks, 500, method="dwt")[1]
        on, off, p, t = (
            np.array(waves[f"ECG_{k}"], dtype=float)
            for k in ("R_Onsets", "R_Offsets", "P_Onsets", "T_Offsets")
        )
        if len({on.size, off.size, p.size, t.size}) == 1:
            found.append([np.nanmedian(on - p) * 2, np.nanmedian(off - on) * 2, np.nanmedian(t - on) * 2])
    return [30000 / np.mean(np.diff(peaks)), *np.median(found, axis=0)]


def global_qrs(mv):
    """QRS duration [ms] over all leads: from the first to the last time near R at which the spatial velocity is high."""
    speed = np.linalg.norm(np.diff(averaged_beat(mv)[INDEPENDENT], axis=1), axis=0)[140:265]
    fast = np.flatnonzero(np.convolve(speed, np.ones(5) / 5, "same") > 0.18 * speed.max())
    return 2 * (fast[-1] - fast[0])


def median(function, signals):
    return np.median([function(mv) for mv in signals], axis=0)


def test_normal_intervals_by_neurokit(records):
    measured = np.array([neurokit(mv) for mv in records["NORM"]])
    rate, pr, qrs, qt = np.median(measured, axis=0)
    qtc = measured[:, 3] / np.cbrt(60 / measured[:, 0])
    assert measured[:, 0].min() > 50
    assert measured[:, 0].max() < 100
    assert 55 < rate < 80
    assert 120 <= pr <= 180
    assert 80 <= qrs <= 112
    assert 350 < qt < 450
    assert 380 < np.median(qtc) < 440


def test_first_degree_block_by_neurokit(records):
    assert median(neurokit, records["1AVB"])[1] > 200


@pytest.mark.parametrize(("name", "low", "high"), [("SBRAD", 36, 50), ("STACH", 100, 140)])
def test_rate_classes(records, name, low, high):
    rates = [30000 / np.mean(np.diff(r_peaks(mv))) for mv in records[name]]
    assert low <= min(rates)
    assert max(rates) <= high


def test_bundle_branch_blocks_are_wide_and_look_right(records):
    assert median(global_qrs, records["NORM"]) < 110
    assert median(global_qrs, records["LBBB"]) >= 120
    assert median(global_qrs, records["RBBB"]) >= 120
    v1, v6 = LEADS.index("V1"), LEADS.index("V6")
    for mv in records["LBBB"]:  # QS or rS in V1, no S in V6, T against the QRS
        beat = averaged_beat(mv)
        assert beat[v1].min() < -3 * abs(beat[v1, 190:250].max() * 0.5)
        assert beat[v6, 150:260].max() > 0.4
        assert beat[v6, 280:400].mean() < 0 < beat[v1, 280:400].mean()
    for mv in records["RBBB"]:  # a late R' in V1, a broad S in I
        beat = averaged_beat(mv)
        assert beat[v1, 205:270].max() > 0.2
        assert beat[LEADS.index("I"), 205:270].min() < -0.05


def test_lvh_voltage(records):
    def sokolow_lyon(mv):
        beat = averaged_beat(mv)[:, 150:270]
        return -beat[LEADS.index("V1")].min() + max(
            beat[LEADS.index("V5")].max(), beat[LEADS.index("V6")].max()
        )

    assert min(sokolow_lyon(mv) for mv in records["LVH"]) > 3.3
    assert median(sokolow_lyon, records["LVH"]) > 3.5
    assert 1.5 < median(sokolow_lyon, records["NORM"]) < 3.0
    assert max(sokolow_lyon(mv) for mv in records["NORM"]) < 3.5


def test_fibrillation_is_irregular_without_p(records):
    def variation(mv):
        intervals = np.diff(r_peaks(mv))
        return intervals.std() / intervals.mean()

    def p_wave(mv):
        return np.ptp(averaged_beat(mv)[LEADS.index("II"), 80:175])

    assert min(variation(mv) for mv in records["AF"]) > 0.08
    assert median(variation, records["NORM"]) < 0.07
    assert median(p_wave, records["AF"]) < 0.6 * median(p_wave, records["NORM"])


def test_premature_beats_are_early_and_wide(records):
    for mv in records["PVC"]:
        peaks = r_peaks(mv)
        assert np.diff(peaks).min() < 0.8 * np.median(np.diff(peaks))


def test_st_change_shifts_st_in_some_lead(records):
    def st(mv):
        return np.abs(averaged_beat(mv)[:, 235:245].mean(axis=1)).max()

    assert median(st, records["STC"]) > 1.3 * median(st, records["NORM"])


def test_amplitudes_are_those_of_adults(records):
    beat = np.median([averaged_beat(mv) for mv in records["NORM"]], axis=0)
    assert 0.3 < beat[LEADS.index("I"), 150:260].max() < 1.2
    assert 0.5 < beat[LEADS.index("II"), 150:260].max() < 1.7
    assert 0.15 < beat[LEADS.index("II"), 270:400].max() < 0.6  # T
    assert 0.05 < np.ptp(beat[LEADS.index("II"), 100:170]) < 0.25  # P
