"""The guided loss, all switches and all values, against explicit loops over pairs: values and gradients."""

import dataclasses
import math

import pytest
import torch
from guided_cases import TAU, chosen, every_switch, make_case, make_loss, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import DEFAULTS, NAN, SWITCHES, Subject, guided

from clef_ray.losses import mean, reduce
from clef_ray.losses.guided import Guided

#: Six records of five patients, one risk unknown for sure, and a queue in which two of them come back.
CASE = make_case(6, q=5, seed=1, unknown=0.0)
CASE = dataclasses.replace(
    CASE,
    batch=tuple(
        dataclasses.replace(s, patient=p, risk=(NAN,) if i == 2 else s.risk)
        for i, (s, p) in enumerate(zip(CASE.batch, (4, 7, 1, 7, 0, 2), strict=True))
    ),
    queue=tuple(
        dataclasses.replace(s, patient=p, risk=(NAN,) if i == 0 else s.risk)
        for i, (s, p) in enumerate(zip(CASE.queue, (9, 7, 4, 8, 10), strict=True))
    ),
)
NO_QUEUE = dataclasses.replace(CASE, queue=(), queue_z=None)


def compare(o, case, tau=TAU, **more):
    """L_w and L_d of the package and of the loops, and the gradients of an uneven mixture of them."""
    o = {**DEFAULTS, **o}
    loss, z = make_loss(o, case, temperature=tau, **more), case.z.clone().requires_grad_()
    taught = list(loss.parameters())
    ours = [mean(t.total, t.count) for t in loss(z, torch.arange(len(z)), pairs_of(case, loss))]
    tau_ = taught[0].detach().double().exp().requires_grad_() if taught else tau
    theirs = guided(dataclasses.replace(case, z=z), o, chosen(o, case), tau_)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    (gradient,) = torch.autograd.grad(ours[0] + 3 * ours[1], z, retain_graph=True)
    expected = torch.autograd.grad(
        theirs[0] + 3 * theirs[1], [z, *([tau_] if taught else [])], allow_unused=True
    )
    torch.testing.assert_close(gradient, expected[0], rtol=1e-8, atol=1e-10)
    if taught:  # dL/dlog τ = τ dL/dτ; the parameter is float32
        (slope,) = torch.autograd.grad(ours[0] + 3 * ours[1], taught)
        wanted = tau_ * expected[1] if expected[1] is not None else torch.zeros(())
        torch.testing.assert_close(slope.double(), wanted.double(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [NO_QUEUE, CASE], ids=["batch", "queue"])
@pytest.mark.parametrize("switch", every_switch(), ids=str)
def test_guided_equals_the_loop(switch, case):
    compare(switch, case)


@pytest.mark.parametrize("preset", ["default", "published", "paper"])
def test_presets_equal_the_loop(preset):
    """What each preset means, written out again: the released code and the quoted formulas (arXiv 2512.02180)."""
    released = {"normaliser": "batch_minmax", "similarity": "batch_minmax", "exclude_diag": False}
    meaning = {
        "default": {},
        "published": {**released, "weight_norm": "softmax", "mask": "none", "unknown": "zero"},
        "paper": {**released, "weight_norm": "none", "mask": "literal", "unknown": "average"},
    }[preset]
    if preset != "default":
        meaning["same_patient"] = "negative"
    loss, z = Guided(temperature=TAU, **Guided.PRESETS[preset]), NO_QUEUE.z
    o = {**DEFAULTS, **meaning}
    l_w, l_d = guided(NO_QUEUE, o, chosen(o, NO_QUEUE), TAU)
    half = 0.5 if preset == "published" else 1.0
    total = reduce(loss(z, torch.arange(len(z)), pairs_of(NO_QUEUE, loss)))
    torch.testing.assert_close(total, half * (l_w + l_d), rtol=1e-10, atol=0)
    assert set(Guided.PRESETS[preset]) == set(Guided.PRESETS["default"])


@st.composite
def cases(draw):
    b = draw(st.integers(1, 4))
    return make_case(
        b,
        q=draw(st.integers(0, 4)),
        k=draw(st.sampled_from([1, 1, 2])),
        dim=draw(st.integers(2, 4)),
        seed=draw(st.integers(0, 10**6)),
        patients=draw(st.sampled_from([0, 2, 4])),
        unknown=draw(st.sampled_from([0.0, 0.3, 0.8])),
    )


@settings(max_examples=300)
@given(
    cases(),
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SWITCHES.items()}),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]),
    st.integers(0, 6),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.booleans(),
    st.sampled_from([1, 30, 2**19]),
)
def test_any_combination_equals_the_loop(case, switches, alpha, negatives, tau, learn, chunk):
    number = min(negatives, 2 * len(case.batch) - 2 + len(case.queue)) or None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clef_ray.losses._kernel.CHUNK", chunk)
        compare({**switches, "alpha": alpha, "negatives": number}, case, tau, learn_temperature=learn)


@pytest.mark.parametrize("start", [0.01, 0.07, 1.0])
def test_temperature_is_learned_within_its_limits(start):
    loss = make_loss({}, CASE, temperature=start, learn_temperature=True)
    (log,) = loss.parameters()
    assert loss.current_temperature == pytest.approx(start, rel=1e-6)
    for outside, limit in ((-9.0, 0.01), (2.0, 1.0)):
        with torch.no_grad():
            log.fill_(outside)
        value = reduce(loss(CASE.z, torch.arange(12), pairs_of(CASE, loss)))
        fixed = make_loss({}, CASE, temperature=limit)
        torch.testing.assert_close(
            value, reduce(fixed(CASE.z, torch.arange(12), pairs_of(CASE, fixed))), rtol=1e-6, atol=0
        )
        (slope,) = torch.autograd.grad(value, log)
        assert slope != 0, "stopped at the limit, not stuck there"
        assert loss.current_temperature == pytest.approx(limit, rel=1e-6)
    assert not list(make_loss({}, CASE).parameters())


PARTS = (
    (torch.arange(12),),
    (torch.arange(6), torch.arange(6, 12)),
    (
        torch.tensor([5]),
        torch.tensor([11, 0, 3]),
        torch.tensor([1, 2, 4, 6, 7, 8, 9, 10]),
        torch.tensor([], dtype=torch.int64),
    ),
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", [NO_QUEUE, CASE], ids=["batch", "queue"])
@pytest.mark.parametrize("switch", every_switch(), ids=str)
def test_workers_rows_add_up(switch, case, dtype):
    """Any partition of the anchors sums to the whole: terms, gradient of z_all, gradient of the temperature."""
    loss = make_loss({"learn_temperature": True, **switch}, case)
    pairs = pairs_of(case, loss)
    results = []
    for part in PARTS:
        z = case.z.to(dtype).requires_grad_()
        workers = [loss(z, rows, pairs) for rows in part]
        terms = [
            (sum(t.total for t in same), sum(t.count for t in same)) for same in zip(*workers, strict=True)
        ]
        value = sum(total / count for total, count in terms)
        results.append((value, *torch.autograd.grad(value, [z, *loss.parameters()])))
    exact = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 2e-6}
    for other in results[1:]:
        for one, whole in zip(other[:2], results[0][:2], strict=True):
            torch.testing.assert_close(one, whole, **exact)
        torch.testing.assert_close(other[2], results[0][2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", [NO_QUEUE, CASE], ids=["batch", "queue"])
@pytest.mark.parametrize("switch", every_switch(), ids=str)
def test_chunk_size_never_matters(switch, case, monkeypatch):
    """17 similarities are one anchor with its 12 + 5 views, 40 two anchors; 1 is less than one anchor."""
    loss = make_loss(switch, case)

    def run():
        z = case.z.clone().requires_grad_()
        value = reduce(loss(z, torch.arange(12), pairs_of(case, loss)))
        return value, *torch.autograd.grad(value, z)

    whole = run()
    for size in (1, 17, 40):
        monkeypatch.setattr("clef_ray.losses._kernel.CHUNK", size)
        for one, other in zip(run(), whole, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("unknown", ["average", "drop"])
@pytest.mark.parametrize("mask", SWITCHES["mask"])
@pytest.mark.parametrize("normaliser", SWITCHES["normaliser"])
def test_stored_values_of_an_unknown_risk_never_matter(mask, normaliser, unknown):
    """The completeness beside a NaN and the other coordinate of a point that is half unknown: moved, and the loss stays bit by bit."""
    case = make_case(5, q=4, k=2, unknown=0.0)
    unknown_places = {1, 3}  # in the batch and in the queue

    def moved(subjects, value):
        return tuple(
            Subject((NAN, value), (value / 90) % 1, s.patient) if i in unknown_places else s
            for i, s in enumerate(subjects)
        )

    for switch in ({}, {"choose": "risk_near", "negatives": 3}, {"choose": "stratified", "negatives": 3}):
        loss = make_loss({"mask": mask, "normaliser": normaliser, "unknown": unknown, **switch}, case)
        values = set()
        for value in (0.0, 3.0, 70.0, 1e30):
            other = dataclasses.replace(case, batch=moved(case.batch, value), queue=moved(case.queue, value))
            pairs = dataclasses.replace(pairs_of(other, loss), reference=pairs_of(case, loss).reference)
            values.add(reduce(loss(case.z, torch.arange(10), pairs)).item())
        assert len(values) == 1
        assert math.isfinite(values.pop())


def test_an_unknown_risk_is_not_a_low_risk():
    """Only `zero`, the released code's way, takes it for the healthiest."""
    values = {}
    for unknown in SWITCHES["unknown"]:
        loss = make_loss({"mask": "none", "unknown": unknown}, NO_QUEUE)
        values[unknown] = reduce(loss(NO_QUEUE.z, torch.arange(12), pairs_of(NO_QUEUE, loss))).item()
    healthy = tuple(
        dataclasses.replace(s, risk=(0.0,)) if math.isnan(s.risk[0]) else s for s in NO_QUEUE.batch
    )
    loss = make_loss({"mask": "none"}, NO_QUEUE)
    zero = reduce(
        loss(NO_QUEUE.z, torch.arange(12), pairs_of(dataclasses.replace(NO_QUEUE, batch=healthy), loss))
    ).item()
    assert values["zero"] == zero
    assert abs(values["average"] - zero) > 1e-3
    assert abs(values["drop"] - values["average"]) > 1e-3


@pytest.mark.parametrize(
    "switch", [s for s in every_switch() if s.get("choose", "hardest") == "hardest"], ids=str
)
def test_drop_is_the_loss_of_the_batch_without_the_unknown(switch):
    """Exactly so where nothing is drawn: a draw goes by the position in the batch."""
    loss = make_loss({**switch, "unknown": "drop"}, CASE)
    known = [i for i, s in enumerate(CASE.batch) if not math.isnan(s.risk[0])]
    queued = [i for i, s in enumerate(CASE.queue) if not math.isnan(s.risk[0])]
    smaller = dataclasses.replace(
        CASE,
        z=CASE.z[known + [i + 6 for i in known]],
        batch=tuple(CASE.batch[i] for i in known),
        queue_z=CASE.queue_z[queued],
        queue=tuple(CASE.queue[i] for i in queued),
    )
    whole = loss(CASE.z, torch.arange(12), pairs_of(CASE, loss))
    part = make_loss({**switch, "unknown": "average"}, CASE)(
        smaller.z, torch.arange(10), pairs_of(smaller, loss)
    )
    for one, other in zip(whole, part, strict=True):
        torch.testing.assert_close((one.total, one.count), (other.total, other.count), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "switch",
    [
        {},
        Guided.PRESETS["published"],
        {"negatives": 3, "choose": "hardest", "same_patient": "positive", "normaliser": "rank"},
    ],
    ids=["default", "published", "others"],
)
def test_gradient_by_differences(switch):
    case = make_case(3, q=2, dim=3, patients=4)
    loss, rows = make_loss(switch, case), torch.tensor([0, 4])
    pairs = pairs_of(case, loss)
    assert torch.autograd.gradcheck(lambda z: reduce(loss(z, rows, pairs)), case.z.clone().requires_grad_())
