"""The guided loss, forward and backward: the project's chunks against all pairs written out, and against its matrix products alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor

from clef_ray.bench.measure import Figure, added_memory, cores, faster, in_process, interleaved, on
from clef_ray.bench.naive import naive_loss
from clef_ray.losses import Pairs, reduce
from clef_ray.losses.guided import Guided

DIM = 256

#: Beyond this many subjects the plain side, which keeps some twenty matrices of 2B x 2B, is not run.
LARGEST_PLAIN = 4096

#: The targets: how many times faster than plain and how near to the bare products at one batch, memory at another.
AT, FASTER, PRODUCTS = 2048, 3.0, 2.0
LARGEST, MOST_GIB = 8192, 8.0

#: Rows of the bare products at once; their time does not depend on it.
_ROWS = 512


@dataclass(frozen=True)
class Sizes:
    """rounds by batch, in ascending order."""

    rounds: dict[int, int]


class Case:
    """One batch of random embeddings and risks, and its loss written twice."""

    def __init__(self, batch: int) -> None:
        rng = np.random.default_rng(0)
        self.batch = batch
        risk_B1 = rng.uniform(1, 20, (batch, 1))
        self.loss = Guided()
        self.pairs = Pairs(
            torch.from_numpy(risk_B1.astype(np.float32)),
            torch.from_numpy(rng.choice([0.4, 0.8, 1.0], batch).astype(np.float32)),
            torch.arange(batch),
            key=(0, 0),
            reference=self.loss.reference(risk_B1),
        )
        self.z_all = torch.from_numpy(rng.normal(size=(2 * batch, DIM)).astype(np.float32)).requires_grad_()

    def ours(self) -> int:
        """In chunks; the gradient lies in z_all.grad."""
        return self._backward(reduce(self.loss(self.z_all, torch.arange(2 * self.batch), self.pairs)))

    def plain(self) -> int:
        """All pairs at once, by autograd."""
        return self._backward(naive_loss(self.z_all, self.pairs))

    def products(self) -> int:
        """The yardstick: the similarities of all pairs, and their gradient's two products with the embeddings, and nothing else.

        Ours computes half of the similarities, since those of (i, k) and (k, i) are one: it may come below.
        """
        u_VD = self.z_all.detach()
        g_VD = torch.zeros_like(u_VD)
        for start in range(0, len(u_VD), _ROWS):
            rows = slice(start, start + _ROWS)
            s_RV = u_VD[rows] @ u_VD.T
            g_VD[rows] += s_RV @ u_VD
            g_VD.addmm_(s_RV.T, u_VD[rows])
        return self.batch

    def _backward(self, loss: Tensor) -> int:
        self.z_all.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        return self.batch


def losses(sizes: Sizes) -> list[Figure]:
    """Pairs per second and memory by batch, on all cores."""
    figures = []
    for batch, rounds in sizes.rounds.items():
        figures += _speed(batch, rounds)
        figures.append(_memory(batch))
    return figures


def _speed(batch: int, rounds: int) -> list[Figure]:
    case = Case(batch)
    turn: Callable[[Callable[[], int]], Callable[[], int]] = partial(on, cores())
    sides = {"ours": turn(case.ours), "limit": turn(case.products)}
    if batch <= LARGEST_PLAIN:
        sides["plain"] = turn(case.plain)
    rates = interleaved(sides, rounds)
    share = median(rates["limit"]) / median(rates["ours"])
    note = (
        f"Guided loss, forward and backward, embeddings of {DIM}: plain is all 2B x 2B pairs by autograd (not run beyond batch "
        f"{LARGEST_PLAIN}); limit is the three matrix products of all pairs alone, of which ours needs two thirds."
    )
    name = f"guided loss, batch {batch}"
    if "plain" in sides:
        yours = faster(name, note, rates, at_least=FASTER if batch == AT else None)
    else:
        yours = Figure(name, "pairs/s", median(rates["ours"]), limit=median(rates["limit"]), note=note)
    if batch != AT:
        return [yours]
    against = Figure(
        f"{name}: time over its products",
        "",
        share,
        target=f"<= {PRODUCTS:g}x",
        met=share <= PRODUCTS,
        note=note,
    )
    return [yours, against]


def _memory(batch: int) -> Figure:
    used = {
        side: in_process(_added, side, batch)
        for side in ("ours", "plain")
        if side == "ours" or batch <= LARGEST_PLAIN
    }
    return Figure(
        f"guided loss, batch {batch}: memory",
        "MiB",
        used["ours"] / 2**20,
        plain=used["plain"] / 2**20 if "plain" in used else None,
        target=f"<= {MOST_GIB:g} GiB" if batch == LARGEST else "",
        met=used["ours"] <= MOST_GIB * 2**30 if batch == LARGEST else None,
        note="Memory: what one call adds to the largest resident size of a fresh process.",
    )


def _added(side: str, batch: int) -> int:
    getattr(Case(4), side)()  # what the first call of anything loads is not the loss's
    return added_memory(getattr(Case(batch), side))
