"""NT-Xent against explicit loops and torch's cross-entropy."""

import dataclasses

import pytest
import torch
from guided_cases import TAU, chosen, make_case, pairs_of
from oracle import DEFAULTS, ntxent
from torch.nn import functional

from clef_ray.errors import ConfigError
from clef_ray.losses import reduce
from clef_ray.losses.ntxent import Ntxent

CASE = make_case(6, q=5, seed=2, patients=7)


@pytest.mark.parametrize("queue", [False, True])
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(
    ("choose", "negatives"), [("random", None), ("random", 1), ("random", 4), ("hardest", 1), ("hardest", 4)]
)
def test_equals_the_loop(choose, negatives, queue, learn):
    """Which negatives are drawn is the same as for the guided loss: runs of both see the same contrasts."""
    case = CASE if queue else dataclasses.replace(CASE, queue=(), queue_z=None)
    loss = Ntxent(TAU, negatives, choose, queue=len(case.queue), learn_temperature=learn)
    z = case.z.clone().requires_grad_()
    tau = torch.tensor(TAU, dtype=torch.float64, requires_grad=True)
    if learn:
        tau = next(loss.parameters()).detach().double().exp().requires_grad_()
    value = reduce(loss(z, torch.arange(12), pairs_of(case)))
    used = chosen({**DEFAULTS, "choose": choose, "negatives": negatives}, case)
    expected = ntxent(dataclasses.replace(case, z=z), used, tau)
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    gradients = torch.autograd.grad(value, [z, *loss.parameters()])
    wanted = torch.autograd.grad(expected, [z, tau])
    torch.testing.assert_close(gradients[0], wanted[0], rtol=1e-9, atol=1e-12)
    if learn:
        torch.testing.assert_close(gradients[1].double(), wanted[1] * tau, rtol=1e-5, atol=1e-7)


def test_is_cross_entropy_of_the_other_view():
    """All patients different: the softmax over all other views, the other view as the class."""
    case = make_case(16, dim=8, seed=5)
    z = case.z.clone().requires_grad_()
    unit = functional.normalize(z)
    logits = (unit @ unit.T / 0.07).masked_fill(torch.eye(32, dtype=torch.bool), -torch.inf)
    expected = functional.cross_entropy(logits, (torch.arange(32) + 16) % 32)
    value = reduce(Ntxent()(z, torch.arange(32), pairs_of(case)))
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(x, z)[0] for x in (value, expected)), rtol=1e-10, atol=1e-12
    )


def test_queue_is_more_columns_without_gradient():
    """A queue filled with views of the batch's strangers gives what a batch that holds them gives its own anchors."""
    case = make_case(10, dim=6, seed=7)
    inside, outside = [*range(6), *range(10, 16)], [*range(6, 10), *range(16, 20)]
    smaller = dataclasses.replace(
        case,
        z=case.z[inside],
        batch=case.batch[:6],
        queue_z=case.z[outside],
        queue=(*case.batch[6:], *case.batch[6:]),
    )
    (whole,) = Ntxent()(case.z, torch.tensor(inside), pairs_of(case))
    (part,) = Ntxent(queue=8)(smaller.z, torch.arange(12), pairs_of(smaller))
    torch.testing.assert_close(part.total, whole.total, rtol=1e-12, atol=0)


def test_patients_other_records_are_no_negatives():
    case = make_case(4, seed=3)
    twins = dataclasses.replace(
        case,
        batch=(
            case.batch[0],
            dataclasses.replace(case.batch[1], patient=case.batch[0].patient),
            *case.batch[2:],
        ),
    )
    values = []
    for moved in (
        case.z,
        torch.cat([case.z[:1], -case.z[1:2], case.z[2:5], case.z[5:6] * 0.1 + 3, case.z[6:]]),
    ):
        (term,) = Ntxent(TAU)(moved, torch.tensor([0, 4]), pairs_of(twins))
        values.append(term.total.item())
    assert values[0] == pytest.approx(values[1], rel=1e-14)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 2.0, "learn_temperature": True}, "temperature"),
        ({"negatives": 0}, "negatives"),
        ({"queue": -1}, "queue"),
        ({"choose": "risk_near"}, "choose"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(options, named):
    with pytest.raises(ConfigError, match=rf"ntxent.*{named}"):
        Ntxent(**options)
