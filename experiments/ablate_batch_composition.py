"""Does the batch matter beyond the number of negatives it holds: its size, and the mix of risks in it?

Reviewer 2 of CLEF (ICLR 2026, public) asked whether the make-up of the batch dominates: a guided loss compares patients with those who
happen to be beside them. Batches of 32, 64, 128 and 256 records with 62 negatives per anchor in all of them (all that 32 records have, a
seeded sample in larger ones), and the same batches stratified by risk: each holds one record of every risk stratum, so that no anchor lacks
negatives of another risk.

All arms see the same records equally often (equal epochs, a last incomplete batch left out), so a batch twice as large takes half as many
optimiser steps. With the learning rate the same for all, that alone can favour the small batches: the `steps-*` arms, asked for by name,
take equally many steps at every size (64 in the embedded cohort, 8 of them warm-up) and see the more records the larger the batch.

Control: `random`, the encoder as initialised.

What to expect: smaller batches do better by their steps and not by their composition; stratification helps most where a batch is small
and guidance is on, and not at all in SimCLR, which uses no risk.

    python experiments/ablate_batch_composition.py                                    synthetic cohort, five minutes on two cores
    python experiments/ablate_batch_composition.py --data /data/ptbxl                 PTB-XL
    python experiments/ablate_batch_composition.py --arms "clef-*" "steps-*"          equal records against equal steps
    python experiments/ablate_batch_composition.py --arms "simclr-*" clef-128         stratified batches without guidance
"""

from typing import Any

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

BATCHES = (32, 64, 128, 256)
SMALLEST = 2 * BATCHES[0] - 2
STRATIFIED = {"batches": "risk_stratified"}


def arms(prefix: str, family: str, settings: dict[str, Any]) -> tuple[Arm, ...]:
    """One arm per batch size."""
    return tuple(
        Arm(f"{prefix}-{b}", {**settings, "optimiser.batch": b, "loss.negatives": SMALLEST}, family, b)
        for b in BATCHES
    )


ABLATION = Ablation(
    name="ablate_batch_composition",
    question="Does the batch matter beyond the number of negatives it holds: its size, and the mix of risks in it?",
    expect="Smaller batches do better by their number of steps; stratification by risk helps small batches with guidance only.",
    arms=(
        *arms("clef", "CLEF", {"method": "clef"}),
        *arms("clef-stratified", "CLEF stratified", {"method": "clef", **STRATIFIED}),
        *arms("simclr", "SimCLR", {"method": "simclr"}),
        Arm("random", {"method": "random"}),
    ),
    more=(
        *arms("simclr-stratified", "SimCLR stratified", {"method": "simclr", **STRATIFIED}),
        *(
            Arm(
                f"steps-{b}",
                {
                    "method": "clef",
                    "optimiser.batch": b,
                    "loss.negatives": SMALLEST,
                    "optimiser.epochs": b // 16,
                    "optimiser.warmup_epochs": b / 128,
                },
                "CLEF equal steps",
                b,
            )
            for b in BATCHES
        ),
    ),
    base="clef-128",
    seeds=(0, 1, 2),
    axis="records per batch",
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
