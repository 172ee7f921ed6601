"""Each worker does its share of a loss's work, and nothing that another one does, too: counted, for every loss there is."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from clef_ray.losses import Pairs, Queue, mean, reduce
from clef_ray.losses._share import Share, owned
from clef_ray.registry import LOSSES

BATCH = 256

#: Rows of a subject, and their length for embeddings of D, by what a loss takes.
PARTS = {"views": 2, "keys": 2, "predictions": 4, "own": 1, "own_views": 1}
LENGTH = {"own": lambda d: 1, "own_views": lambda d: 1 + 2 * d}

#: Options besides the defaults that divide work in ways of their own.
VARIANTS = {
    "guided": [
        *({"preset": name} for name in ("published", "paper")),
        {"preset": "published", "unknown": "drop", "queue": 6},
        {"normaliser": "batch_minmax", "negatives": 5, "choose": "risk_near"},
    ],
    "ntxent": [{"negatives": 5, "choose": "hardest"}],
}
#: Losses of dimensions rather than pairs of subjects: more of them, so that every worker has some.
WIDE = ("barlow", "vicreg")
CASES = [(name, options) for name in LOSSES.names() for options in ({}, *VARIANTS.get(name, ()))]


def build(name, options):
    options = dict(options)
    cls = LOSSES.get(name)
    preset = cls.PRESETS[options.pop("preset")] if "preset" in options else {}
    return cls(**{**preset, **options})


def problem(loss, batch, dim, k=1):
    draw = torch.Generator().manual_seed(0)
    risk = torch.rand(batch, k, generator=draw, dtype=torch.float64) * 20
    shape = (PARTS[loss.takes] * batch, LENGTH.get(loss.takes, lambda d: d)(dim))
    z = torch.randn(shape, generator=draw, dtype=torch.float64, requires_grad=True)
    reference = loss.reference(risk.numpy()) if loss.uses_risk else None
    risk[1] = torch.nan
    queue = None
    if loss.queue and loss.queue < 100:
        q = torch.randn(loss.queue, dim, generator=draw, dtype=torch.float64)
        risk_QK = 30 * torch.rand(loss.queue, k, generator=draw, dtype=torch.float64)
        queue = Queue(q, risk_QK, torch.ones(loss.queue), torch.arange(loss.queue))
    return z, Pairs(risk, torch.ones(batch), torch.arange(batch) // 2, (0, 1), reference, queue)


def rows_of(subjects, parts, batch):
    return (torch.arange(parts)[:, None] * batch + torch.as_tensor(subjects)).flatten()


class Counted(TorchDispatchMode):
    """How many numbers all operations write, and the multiplications of the matrix products among them."""

    written = products = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.written += sum(x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor))
        name = function.overloadpacket.__name__
        assert name not in ("bmm", "baddbmm"), "not counted here"
        if name in ("mm", "addmm", "addmm_"):
            self.products += args[-2].numel() * args[-1].shape[1]
        return out


def work(name, options, workers):
    """Multiplications of matrix products, and numbers written, by the first of so many workers, forward and backward."""
    loss = build(name, options)
    batch, dim = (64, 64) if name in WIDE else (BATCH, 4)
    z, pairs = problem(loss, batch, dim)
    rows = rows_of(torch.arange(batch // workers), PARTS[loss.takes], batch)
    shared = Pairs(*(getattr(pairs, s) for s in Pairs.__slots__[:6]), lambda x: x.expand(workers, -1))
    with Counted() as counted:
        reduce(loss(z, rows, shared)).backward()
    return counted.products, counted.written


@pytest.fixture
def small_chunks(monkeypatch):
    """With the chunks of the full size all similarities of four workers fit into one, and are computed once instead of twice."""
    monkeypatch.setattr("clef_ray.losses._kernel.CHUNK", 2**14)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_work_of_one_falls_with_the_number_of_workers(name, options, small_chunks):
    four, eight = work(name, options, 4), work(name, options, 8)
    assert four[0] == pytest.approx(2 * eight[0], rel=0.03), "products"
    if name not in WIDE:
        repeated = 2 * eight[1] - four[1]  # of f + c / W numbers the f
        assert repeated < 1.5 * BATCH**2, "not one pass over all pairs of views, of which there are 4 BATCH²"


@pytest.mark.parametrize(("name", "options"), [("ntxent", {}), ("guided", {})])
def test_one_worker_computes_each_pair_once_and_several_compute_it_from_both_sides(
    name, options, small_chunks
):
    """Products of all pairs, forward and again backward, and two for the gradient: 2 for one worker by symmetry, 4 / W for each of several."""
    all_pairs = (2 * BATCH) ** 2 * 4
    assert work(name, options, 1)[0] / all_pairs == pytest.approx(2, rel=0.1)
    assert work(name, options, 2)[0] / all_pairs == pytest.approx(4 / 2, rel=0.01)
    assert work(name, options, 4)[0] / all_pairs == pytest.approx(4 / 4, rel=0.01)


class Meeting:
    """Several workers as threads of this process."""

    def __init__(self, workers):
        self.barrier = threading.Barrier(workers, timeout=20)
        self.left = [None] * workers

    def everyone(self, rank):
        def exchange(found_n):
            self.left[rank] = found_n.clone()
            self.barrier.wait()
            found = torch.stack(self.left)
            self.barrier.wait()
            return found

        return exchange


def divided(name, options, groups, batch, dim, k):
    """Terms and gradient of the whole, of workers who have these subjects each."""
    loss = build(name, options)
    meeting = Meeting(len(groups))

    def one(rank):
        z, pairs = problem(loss, batch, dim, k)
        rows = rows_of(groups[rank], PARTS[loss.takes], batch)
        everyone = meeting.everyone(rank) if len(groups) > 1 else None
        terms = loss(z, rows, Pairs(*(getattr(pairs, s) for s in Pairs.__slots__[:6]), everyone))
        return z, terms

    with ThreadPoolExecutor(len(groups)) as pool:
        found = list(pool.map(one, range(len(groups))))
    sums = [sum(t[i].total for _, t in found) for i in range(len(found[0][1]))]
    counts = [sum(t[i].count for _, t in found) for i in range(len(sums))]
    means = [mean(total, count) for total, count in zip(sums, counts, strict=True)]
    coefficients = [term.coefficient for term in found[0][1]]
    value = sum(c * m for c, m in zip(coefficients, means, strict=True))
    gradient = sum(torch.autograd.grad(value, [z for z, _ in found]))
    return torch.stack([value, *means]).detach(), gradient


@pytest.mark.parametrize(
    "groups",
    [
        [range(6), range(6, 12)],
        [range(3 * w, 3 * w + 3) for w in range(4)],
        [[0, 5, 9], [1], [2, 3, 4, 6, 7, 8, 10, 11]],
    ],
    ids=["2", "4", "uneven"],
)
@pytest.mark.parametrize(
    ("name", "options", "k"), [(n, o, k) for n, o in CASES for k in ((1, 2) if n == "guided" else (1,))]
)
def test_shares_add_up_to_the_whole(name, options, groups, k):
    """Also where a worker has no subject of known risk (subject 1), or there are fewer dimensions than workers."""
    dim = 3
    whole = divided(name, options, [range(12)], 12, dim, k)
    shares = divided(name, options, groups, 12, dim, k)
    torch.testing.assert_close(shares[0], whole[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(shares[1], whole[1], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("pieces", [0, 1, 3, 12, 100])
def test_every_piece_of_work_is_exactly_one_workers(pieces):
    rows = torch.randperm(12, generator=torch.Generator().manual_seed(1)).split([1, 4, 7])
    own = [owned(pieces, r.sort().values, 12) for r in rows]
    assert torch.cat(own).sort().values.tolist() == list(range(pieces))
    assert Share(rows[0], 12).of(pieces).tolist() == list(range(pieces)), "alone: all"
