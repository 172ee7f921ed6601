"""Chosen negatives: as many as asked, by their definitions, seeded, and the same whoever computes the row.

What a loss chose is read off its value (`guided_cases.chosen`); the statistics of the drawing are taken of the drawing itself.
"""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from guided_cases import chosen, make_case, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import NAN, SWITCHES, candidates, columns_of, distance, is_known
from scipy import stats

from clef_ray.errors import ConfigError
from clef_ray.losses._negatives import random_choice
from clef_ray.losses.guided import Guided
from clef_ray.losses.ntxent import Ntxent

DRAWN = ("random", "risk_near", "risk_far", "stratified")


@st.composite
def cases(draw):
    return make_case(
        draw(st.integers(2, 6)),
        q=draw(st.integers(0, 5)),
        k=draw(st.sampled_from([1, 2])),
        seed=draw(st.integers(0, 10**6)),
        patients=draw(st.sampled_from([0, 3, 6])),
        unknown=draw(st.sampled_from([0.0, 0.4])),
    )


@settings(max_examples=60)
@given(
    cases(),
    *(st.sampled_from(SWITCHES[name]) for name in ("same_patient", "unknown")),
    st.sampled_from(DRAWN),
    st.integers(1, 10),
)
def test_as_many_as_asked_by_the_definition(case, same_patient, unknown, choose, number):
    """Of the candidates only, all where there are fewer; the nearest, the farthest, or one of each stratum."""
    number = min(number, 2 * len(case.batch) - 2 + len(case.queue))
    o = {"same_patient": same_patient, "unknown": unknown, "choose": choose, "negatives": number}
    columns = columns_of(case, unknown)
    for i, found in chosen(o, case).items():
        allowed = candidates(columns, i, same_patient)
        assert set(found) <= set(allowed)
        assert len(found) == min(number, len(allowed))
        risks = {k: columns.subjects[k].risk for k in allowed}
        if choose == "stratified":
            check_strata(found, risks, number)
        elif choose != "random" and is_known(columns.subjects[i].risk):
            check_extremes(found, risks, columns.subjects[i].risk, choose)


def check_extremes(found, risks, own, choose):
    """No candidate left out is better than one taken; an unknown risk is worse than any."""
    sign = 1 if choose == "risk_near" else -1
    apart = {k: sign * distance(own, r) if is_known(r) else math.inf for k, r in risks.items()}
    left = [apart[k] for k in risks if k not in found]
    assert max((apart[k] for k in found), default=-math.inf) <= min(left, default=math.inf)


def check_strata(found, risks, number):
    """Some order by risk, ties open, has one of those found in each stratum of floor(m N / M)."""
    total = len(risks)
    if total <= number:
        return
    value = {k: r[0] if is_known(r) else math.inf for k, r in risks.items()}
    ascending = sorted(value.values())
    stratum = [m * number // total for m in range(total)]
    for place, k in enumerate(sorted(found, key=value.__getitem__)):
        assert value[k] in [ascending[m] for m in range(total) if stratum[m] == place]


def test_strata_are_drawn_from_whole():
    """Eight strangers' risks in four strata of four views: over the steps each of the four is drawn a quarter of the time."""
    case = make_case(9, unknown=0.0)
    by_place = tuple(dataclasses.replace(s, risk=(float(i),)) for i, s in enumerate(case.batch))
    counts = np.zeros(18)
    for step in range(300):
        drawn = dataclasses.replace(case, batch=by_place, key=(1, step))
        found = chosen({"choose": "stratified", "negatives": 4}, drawn, anchors=(9,))[9]
        assert sorted((k % 9 - 1) // 2 for k in found) == [0, 1, 2, 3]
        counts[found] += 1
    for first in (1, 3, 5, 7):
        assert stats.chisquare(counts[[first, first + 1, first + 9, first + 10]]).pvalue > 1e-3


def test_unknown_risks_are_the_last_stratum():
    """Strangers at 1, 2, 3 and unknown, two views each, in three strata: 1 1 2, 2 3 3 and the unknown views."""
    case = make_case(5, unknown=0.0)
    batch = tuple(
        dataclasses.replace(s, risk=(r,)) for s, r in zip(case.batch, (0.0, NAN, 3.0, 1.0, 2.0), strict=True)
    )
    for step in range(20):
        drawn = dataclasses.replace(case, batch=batch, key=(4, step))
        found = chosen({"choose": "stratified", "negatives": 3}, drawn, anchors=(5,))[5]
        assert sum(k in {1, 6} for k in found) == 1


@pytest.mark.parametrize("choose", ["risk_near", "risk_far"])
def test_ties_and_anchors_of_unknown_risk_are_drawn(choose):
    """Equal risks, or none to be near to: every candidate is chosen as often over the steps, the unknown ones of a known anchor never."""
    case = make_case(6, unknown=0.0)
    equal = tuple(
        dataclasses.replace(s, risk=(NAN,) if i in (1, 2) else (4.0,)) for i, s in enumerate(case.batch)
    )
    known, unknown = np.zeros(12), np.zeros(12)
    for step in range(400):
        drawn = dataclasses.replace(case, batch=equal, key=(2, step))
        found = chosen({"choose": choose, "negatives": 2}, drawn, anchors=(3, 1))
        known[found[3]] += 1
        unknown[found[1]] += 1
    assert (known[[1, 2, 7, 8, 3, 9]] == 0).all()
    assert stats.chisquare(known[[0, 4, 5, 6, 10, 11]]).pvalue > 1e-3
    assert stats.chisquare(np.delete(unknown, [1, 7])).pvalue > 1e-3


@pytest.mark.parametrize("choose", DRAWN)
def test_choice_depends_on_seed_and_step(choose):
    """`random` also on the anchor: anchors choose for themselves."""
    case = make_case(9, q=4, unknown=1.0)  # nothing known: everything is drawn
    o = {"choose": choose, "negatives": 5}
    first = chosen(o, dataclasses.replace(case, key=(7, 3)))
    assert chosen(o, dataclasses.replace(case, key=(7, 3))) == first
    assert len({tuple(found) for found in first.values()}) > 9
    for key in ((7, 4), (8, 3), (3, 7)):
        assert chosen(o, dataclasses.replace(case, key=key)) != first


@pytest.mark.parametrize("choose", ["random", "risk_near", "risk_far"])
def test_more_negatives_contain_the_fewer(choose):
    """Nested, so that an ablation of the number compares like with like."""
    case = make_case(8, q=3, seed=4)
    for few, more in pairwise([1, 3, 9, 17]):
        one, other = (chosen({"choose": choose, "negatives": n}, case) for n in (few, more))
        assert all(set(one[i]) < set(other[i]) for i in one)


@pytest.mark.parametrize("choose", SWITCHES["choose"])
def test_the_largest_number_is_all_and_more_is_refused(choose):
    """2B - 2, and the queue's full size, also while it still fills."""
    case = make_case(5, q=3)
    z, rows = case.z, torch.arange(10)
    pairs = pairs_of(case, Guided())
    values = [
        [t.total.item() for t in Guided(queue=3, choose=choose, negatives=n)(z, rows, pairs)]
        for n in (11, None)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    with pytest.raises(ConfigError, match=r"12 given.*5 subjects and a queue of 3.*at most 11"):
        Guided(queue=3, choose=choose, negatives=12)(z, rows, pairs)
    with pytest.raises(ConfigError, match=r"9 given.*5 subjects has at most 8"):
        Guided(choose=choose, negatives=9)(z, rows, pairs)
    empty = dataclasses.replace(pairs, queue=None)
    for loss in (Guided(queue=3, negatives=11, choose=choose), Ntxent(queue=3, negatives=11)):
        every = type(loss)(queue=3)
        for one, other in zip(loss(z, rows, empty), every(z, rows, empty), strict=True):
            torch.testing.assert_close(one.total, other.total, rtol=1e-12, atol=0)


# the drawing itself


def strangers(subjects, rows):
    return (rows[:, None] - torch.arange(2 * subjects)) % subjects != 0


def test_every_candidate_is_as_likely():
    """Chi-square over columns for one anchor, and over pairs of columns: 4,000 steps, fixed seed."""
    subjects, negatives, steps = 8, 5, 4000
    rows = torch.tensor([3])
    allowed = strangers(subjects, rows)
    used = np.stack(
        [random_choice(allowed, rows, negatives, (42, step))[0].numpy() for step in range(steps)]
    ).astype(int)
    columns = np.flatnonzero(allowed[0].numpy())
    counts = used[:, columns].sum(0)
    share = negatives / len(columns)
    # inclusions of one step are negatively correlated: the statistic is chi-square after the factor (K - 1) / (K (1 - share))
    statistic = (
        ((counts - steps * share) ** 2).sum()
        / (steps * share * (1 - share))
        * (len(columns) - 1)
        / len(columns)
    )
    assert stats.chi2.sf(statistic, len(columns) - 1) > 0.001
    together = used[:, columns].T @ used[:, columns]
    expected = steps * negatives * (negatives - 1) / len(columns) / (len(columns) - 1)
    off = together[np.triu_indices(len(columns), 1)]
    assert np.abs(off - expected).max() < 5 * np.sqrt(expected)


def test_anchors_choose_independently():
    """Two anchors share a candidate as often as chance says."""
    rows = torch.tensor([0, 1])
    allowed = strangers(9, rows)
    both = [int((u[0] & u[1]).sum()) for u in (random_choice(allowed, rows, 4, (1, s)) for s in range(3000))]
    common = int((allowed[0] & allowed[1]).sum())
    assert np.mean(both) == pytest.approx(common * (4 / 16) ** 2, abs=0.06)
