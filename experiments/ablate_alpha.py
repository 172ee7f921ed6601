"""How much does the least dissimilarity α of two patients matter?

α is what a negative of equal risk still weighs: D = (1 - α) Δ + α. At 0 such a negative is no negative; at 1 all weigh the same and no
guidance is left. CLEF fixes α at 0.2, without a sensitivity study on ECGs: reviewers 2 and 3 (ICLR 2026, public) asked for one.

Controls: `permuted` (α = 0.2, risks shuffled over patients), `simclr` (no guidance in any form) and `random` (the encoder as initialised).
alpha-1 is not simclr: the alignment term still pushes every pair of patients apart, though all alike.

What to expect: a plateau. Zero-shot Spearman should fall towards α = 1, where the risks are no longer used; between 0 and 0.5 the loss
changes little, and at the embedded budget the answer is often "undetermined".

Asked for by name: what α is mixed with, the difference in risk. `norm-*`: Δ by each normaliser, among them fixed_scale, which is the base
arm's run; `power-1`: the absolute difference in place of its square.

    python experiments/ablate_alpha.py                       synthetic cohort, four minutes on two cores
    python experiments/ablate_alpha.py --data /data/ptbxl    PTB-XL
    python experiments/ablate_alpha.py --arms alpha-0.2 "norm-*" power-1    how differences in risk are scaled, beside the base arm
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
BASE = {"method": "clef", "loss.alpha": 0.2}
NORMALISERS = ("fixed_scale", "batch_minmax", "global_max", "rank")
SCALED = "CLEF risk differences"

ABLATION = Ablation(
    name="ablate_alpha",
    question="How much does the least dissimilarity α of two patients matter?",
    expect="A plateau between 0 and 0.5, and less zero-shot Spearman towards 1, where the risks no longer matter.",
    arms=(
        *(Arm(f"alpha-{a:g}", {"method": "clef", "loss.alpha": a}, family="CLEF", x=a) for a in ALPHAS),
        Arm("permuted", {**BASE, "score": "permuted"}),
        Arm("simclr", {"method": "simclr"}),
        Arm("random", {"method": "random"}),
    ),
    more=(
        *(Arm(f"norm-{name}", {**BASE, "loss.normaliser": name}, family=SCALED) for name in NORMALISERS),
        Arm("power-1", {**BASE, "loss.power": 1}, family=SCALED),
    ),
    base="alpha-0.2",
    seeds=(0, 1, 2),
    axis="α",
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
