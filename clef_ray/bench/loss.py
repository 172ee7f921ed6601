"""The guided loss, forward and backward: the project's chunks against all pairs written out, and against its matrix products alone.

Memory is what one call adds to a fresh process, which `python -m clef_ray.bench.loss SIDE BATCH` measures and prints in bytes.
"""

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from clef_ray.bench.measure import Figure, cores, faster, interleaved, on
from clef_ray.bench.naive import naive_loss
from clef_ray.losses import Pairs, reduce
from clef_ray.losses.guided import Guided

DIM = 256

#: Beyond this many subjects the plain side, which keeps some twenty matrices of 2B x 2B, is not run.
LARGEST_PLAIN = 4096

#: The targets: how many times faster than plain and how near to the bare products at this batch; memory at the largest.
AT, FASTER, PRODUCTS, MOST_GIB = 2048, 3.0, 2.0, 8.0

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
        """The limit: the similarities, and their gradient's two products with the embeddings, and nothing else."""
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
        figures.append(_memory(batch, last=batch == max(sizes.rounds)))
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
        f"{LARGEST_PLAIN}); limit is the three matrix products alone."
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


def _memory(batch: int, last: bool) -> Figure:
    used = {
        side: _in_process(side, batch)
        for side in ("ours", "plain")
        if side == "ours" or batch <= LARGEST_PLAIN
    }
    return Figure(
        f"guided loss, batch {batch}: memory",
        "MiB",
        used["ours"] / 2**20,
        plain=used["plain"] / 2**20 if "plain" in used else None,
        target=f"<= {MOST_GIB:g} GiB" if last else "",
        met=used["ours"] <= MOST_GIB * 2**30 if last else None,
        note="Memory: what one call adds to the largest resident size of a fresh process.",
    )


def _in_process(side: str, batch: int) -> int:
    """Bytes that one call adds in a process of its own."""
    command = [sys.executable, "-m", "clef_ray.bench.loss", side, str(batch)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - our own module


def _peak() -> int:
    """The largest resident size so far. Linux's ru_maxrss would be the parent's: it survives the start of a program."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    getattr(Case(4), sys.argv[1])()  # what the first call of anything loads is not the loss's
    measured = Case(int(sys.argv[2]))
    before = _peak()
    getattr(measured, sys.argv[1])()
    print(_peak() - before)
