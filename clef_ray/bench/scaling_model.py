"""How long a training step takes on W workers, written down: what `clef-ray bench scaling` checks against measured steps and continues to 64.

    T(W) = fixed + e B / W + loss(W) + gather(W) + gradients(W)             for a global batch of B records, embeddings of D, P parameters

    e B / W       encoding, both views forward and backward, is divided
    loss(W)       matrix products over the V = 2B views: 2 V^2 D operations each; one worker does 2 of them (each pair once), of several
                  each does 4 / W (its anchors against all views, twice forward and twice backward; losses/_kernel.py)
    gather(W)     every worker receives the embeddings of the others, V D (W - 1) / W numbers, and sums the gradient of all, twice as many
    gradients(W)  a ring sums P numbers in 2 P (W - 1) / W per worker (Patarasuk and Yuan 2009, J. Parallel Distrib. Comput. 69:117-124)

Where all slots of one processor compute at once, each may compute more slowly than alone, by the factor `crowded`: they share its memory.
Numbers have 4 bytes. A collective costs `latency` times the rounds of a tree, log2 W, besides. Nothing overlaps, since nothing does in the
training loop. A worker that is late by x makes the step longer by x: every step waits for all.
"""

import math
from dataclasses import dataclass

#: Bytes of a number, in float32.
NUMBER = 4

#: Sums of one or a few numbers in a step: the counts of the loss's terms, and the values that are reported.
SMALL_SUMS = 2


@dataclass(frozen=True, slots=True)
class Job:
    """batch: records in a step, of all workers together; dim: of an embedding; parameters: of the encoder and what is trained on it."""

    batch: int
    dim: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a worker does and what joins the workers.

    encode: seconds per record, two views forward and backward; fixed: seconds per step whatever the batch, as the optimiser's; products:
    operations per second in the loss; bandwidth: bytes per second that a worker receives; latency: seconds per round of a collective;
    slots: workers that compute at the same time, more of them take turns (the cores, of local processes); crowded: how many times as long
    computing takes there as for one worker alone.
    within, inside: so many workers share a machine, and receive so many bytes per second while all lie in one; `bandwidth` is beyond it.
    """

    encode: float
    fixed: float
    products: float
    bandwidth: float
    latency: float
    slots: float = math.inf
    crowded: float = 1.0
    within: int = 1
    inside: float = math.inf


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds of a step, by what they go into."""

    fixed: float
    encode: float
    loss: float
    gather: float
    gradients: float

    @property
    def seconds(self) -> float:
        return self.fixed + self.encode + self.loss + self.gather + self.gradients

    @property
    def communication(self) -> float:
        """Its share of the step, 0 to 1."""
        return (self.gather + self.gradients) / self.seconds


def step(job: Job, hardware: Hardware, workers: int) -> Step:
    """The step of so many workers."""
    turns = max(1.0, workers / hardware.slots)
    computing = turns * (hardware.crowded if workers > 1 else 1.0)
    views = 2 * job.batch
    loss = 2 * products(workers) * views**2 * job.dim / hardware.products
    others, rounds = (workers - 1) / workers, math.log2(workers)
    rate = hardware.inside if workers <= hardware.within else hardware.bandwidth
    embeddings = views * job.dim * NUMBER
    gather = (1 + 2) * embeddings * others / rate + (1 + 2) * rounds * hardware.latency
    gradients = 2 * NUMBER * job.parameters * others / rate
    gradients += (1 + SMALL_SUMS) * 2 * rounds * hardware.latency
    encode = hardware.encode * job.batch / workers
    return Step(
        hardware.fixed * computing, encode * computing, loss * computing, gather * turns, gradients * turns
    )


def products(workers: int) -> float:
    """Matrix products over all pairs of views that each worker's loss computes."""
    return 2.0 if workers == 1 else 4.0 / workers


def gathered_bytes(job: Job, workers: int) -> int:
    """Bytes of embeddings that all workers together receive from each other in a step, forward."""
    return 2 * job.batch * job.dim * NUMBER * (workers - 1)


def efficiency(job: Job, hardware: Hardware, workers: int) -> float:
    """T(1) / (W T(W)): the share of the workers' time that makes the training faster, for one and the same batch."""
    return step(job, hardware, 1).seconds / (workers * step(job, hardware, workers).seconds)


def falls_below(share: float, job: Job, hardware: Hardware, most: int = 64) -> int | None:
    """The smallest number of workers, a power of two up to `most`, whose efficiency is below `share`; None where none is."""
    counts = [2**k for k in range(int(math.log2(most)) + 1)]
    return next((w for w in counts if efficiency(job, hardware, w) < share), None)


@dataclass(frozen=True, slots=True)
class Assumed:
    """A GPU cluster that nobody has measured here: every number is an assumption, to be replaced by what one's own says.

    sustained: operations per second of encoding, some third of what a current data-centre GPU is said to do in float32; products: of the
    loss, whose elementwise work costs as much again. memory: bytes per second of an optimiser step, which reads or writes each parameter's
    weight, gradient and two moments, eight passes in all. launch: seconds of a step in which kernels are started and no more. inside:
    bytes per second between GPUs of one machine, of which there are `within`; bandwidth: between machines, a network of 200 Gbit/s;
    latency: seconds per round of a collective.
    """

    sustained: float = 2e13
    products: float = 1e13
    memory: float = 2e12
    launch: float = 5e-3
    inside: float = 2e11
    bandwidth: float = 2.5e10
    latency: float = 2e-5
    within: int = 8

    def hardware(self, job: Job, operations: float) -> Hardware:
        """operations: of encoding a record, two views, forward and backward."""
        fixed = self.launch + 8 * NUMBER * job.parameters / self.memory
        return Hardware(
            operations / self.sustained,
            fixed,
            self.products,
            self.bandwidth,
            self.latency,
            within=self.within,
            inside=self.inside,
        )


ASSUMED = Assumed()
