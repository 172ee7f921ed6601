"""The oracle's cases as the losses take them, drawn at random, and the negatives a loss chose, read off its value alone."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from oracle import DEFAULTS, NAN, SWITCHES, Case, Subject, all_or_hardest, columns_of
from torch import Tensor

from clef_ray.losses import Pairs, Queue
from clef_ray.losses.guided import Guided

TAU = 0.3


def tables(subjects: Sequence[Subject]) -> tuple[Tensor, Tensor, Tensor]:
    """Risks, completeness and patients as tensors."""
    return (
        torch.tensor([s.risk for s in subjects], dtype=torch.float32),
        torch.tensor([s.completeness for s in subjects], dtype=torch.float32),
        torch.tensor([s.patient for s in subjects]),
    )


def pairs_of(case: Case, loss=None) -> Pairs:
    """The case without its embeddings; with the reference that `loss` makes of the training patients."""
    risk_PK = torch.tensor(case.training, dtype=torch.float64).numpy()
    reference = None if loss is None or not loss.uses_risk else loss.reference(risk_PK)
    queue = None if case.queue_z is None else Queue(case.queue_z, *tables(case.queue))
    return Pairs(*tables(case.batch), case.key, reference, queue)


def make_case(
    b: int = 6, q: int = 0, k: int = 1, dim: int = 5, seed: int = 0, patients: int = 0, unknown: float = 0.2
) -> Case:
    """Normal embeddings; risks and completeness in eighths, which float32 holds exactly; `patients` to share (0: all differ)."""
    draw = torch.Generator().manual_seed(seed)

    def risk(share: float) -> tuple[float, ...]:
        missing = torch.rand((), generator=draw) < share
        values = torch.randint(0, 160, (k,), generator=draw) / 8
        return tuple(NAN if missing else float(v) for v in values)

    def subject(patient: int) -> Subject:
        if patients:
            patient = int(torch.randint(0, patients, (), generator=draw))
        return Subject(risk(unknown), int(torch.randint(0, 9, (), generator=draw)) / 8, patient)

    z = torch.randn(2 * b + q, dim, dtype=torch.float64, generator=draw)
    return Case(
        z[: 2 * b],
        tuple(subject(i) for i in range(b)),
        (*tuple(risk(0.0) for _ in range(12)), risk(1.0)),
        z[2 * b :] if q else None,
        tuple(subject(b + i) for i in range(q)),
    )


def make_loss(o: Mapping, case: Case, **more) -> Guided:
    """`o` may lack whatever is at its default."""
    return Guided(**{"temperature": TAU, "queue": len(case.queue), **o, **more})


def chosen(o: Mapping, case: Case, anchors: Sequence[int] | None = None) -> dict[int, list[int]]:
    """The negatives of each anchor (or of `anchors`) under the switches `o`, with no look inside the loss.

    The choice (but of the hardest, which needs no drawing) does not depend on the embeddings. So they are replaced
    by ones for which column k adds the k-th power of 2 to the anchor's denominator: its value lists the columns in
    binary.
    """
    o = {**DEFAULTS, **o}
    if o["negatives"] is None or o["choose"] == "hardest":
        return all_or_hardest(case, o)
    switches = {name: o[name] for name in ("negatives", "choose", "unknown", "normaliser", "power")}
    loss = make_loss(
        {
            **switches,
            "same_patient": "negative" if o["same_patient"] == "negative" else "exclude",
            "alpha": 1.0,
            "mask": "none",
            "weight_norm": "none",
            "lambda_d": 0.0,
        },
        case,
        temperature=1.8 / math.log(2) / _columns(case),
    )
    pairs = pairs_of(case, loss)
    return {i: _read(loss, pairs, case, i) for i in anchors or columns_of(case, o["unknown"]).anchors}


def _columns(case: Case) -> int:
    return 2 * len(case.batch) + len(case.queue)


def _read(loss: Guided, pairs: Pairs, case: Case, i: int) -> list[int]:
    b, n = len(case.batch), _columns(case)
    plus = (i + b) % (2 * b)
    power = {k: place for place, k in enumerate([plus, *(k for k in range(n) if k not in (i, plus))])}
    s = torch.tensor([1.0 if k == i else -0.9 + 1.8 / n * power[k] for k in range(n)], dtype=torch.float64)
    z = torch.stack([s, (1 - s**2).sqrt()], 1)
    if pairs.queue is not None:
        pairs = dataclasses.replace(pairs, queue=dataclasses.replace(pairs.queue, z_QD=z[2 * b :]))
    (term,) = loss(z[: 2 * b], torch.tensor([i]), pairs)
    code = math.exp(term.total.item())
    assert abs(code - round(code)) < 1e-3
    return [k for k in range(n) if k not in (i, plus) and round(code) >> power[k] & 1]


def every_switch() -> list[dict]:
    """Each switch at each other value alone, and pairs that meet in the code."""
    single = [{}] + [
        {name: value} for name, values in SWITCHES.items() for value in values[1:] if name != "choose"
    ]
    single += [{"alpha": alpha} for alpha in (0.0, 0.5, 1.0)]
    single += [{"choose": c, "negatives": n} for c in SWITCHES["choose"] for n in (1, 4)]
    return [
        *single,
        {"weight_norm": "softmax", "same_patient": "positive"},
        {"weight_norm": "softmax", "negatives": 4, "mask": "literal"},
        {"similarity": "batch_minmax", "exclude_diag": False, "same_patient": "positive"},
        {"similarity": "batch_minmax", "exclude_diag": False, "unknown": "drop"},
        {"normaliser": "batch_minmax", "unknown": "drop", "mask": "mirrored"},
        {"normaliser": "rank", "power": 1, "mask": "none"},
        {"weight_norm": "none", "alpha": 0.0, "mask": "none"},
        {
            "normaliser": "batch_minmax",
            "mask": "none",
            "weight_norm": "softmax",
            "similarity": "batch_minmax",
            "exclude_diag": False,
            "same_patient": "negative",
            "unknown": "zero",
        },
    ]
