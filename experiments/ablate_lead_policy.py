"""Which leads should the two views of a record show when the encoder will see one?

CLEF draws each view's lead at random and makes the two equal with probability 0.8. Its reviews (ICLR 2026, public) weigh that against its
supplement, where pretraining on one lead only is better by 2 % on average: what is the random lead worth? Policies: `random` (published: 0.8), `I` and `II` (one lead for
both views), `same` (a random lead, the same for both) and `cross` (two leads drawn independently; being drawn with replacement, they are
equal once in twelve). Everything is evaluated on lead I.

With guidance (CLEF) and without (SimCLR), since views are what plain contrast is made of. Control: `random-init`, the encoder as initialised.

What to expect: lead I is the best teacher for lead I; `cross` asks for what leads have in common and so may give up what only one of them
shows; lead II alone transfers worst.

    python experiments/ablate_lead_policy.py                            synthetic cohort, five minutes on two cores
    python experiments/ablate_lead_policy.py --data /data/ptbxl         PTB-XL
    python experiments/ablate_lead_policy.py --arms "clef-*" random-init    with more shares of equal leads
"""

from typing import Any

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

POLICIES: dict[str, dict[str, Any]] = {
    "random": {"views.lead": "random", "views.same_lead": 0.8},
    "I": {"views.lead": "I"},
    "II": {"views.lead": "II"},
    "same": {"views.lead": "random", "views.same_lead": 1.0},
    "cross": {"views.lead": "random", "views.same_lead": 0.0},
}
SHARES = (0.2, 0.4, 0.6)
FAMILIES = {"clef": "CLEF", "simclr": "SimCLR"}

ABLATION = Ablation(
    name="ablate_lead_policy",
    question="Which leads should the two views of a record show when the encoder will see one?",
    expect="Lead I is the best teacher for lead I and lead II the worst; views of different leads lie between.",
    arms=(
        *(
            Arm(f"{method}-{name}", {"method": method, **policy}, family=family)
            for method, family in FAMILIES.items()
            for name, policy in POLICIES.items()
        ),
        Arm("random-init", {"method": "random"}),
    ),
    more=tuple(
        Arm(
            f"{method}-q{q:g}",
            {"method": method, "views.lead": "random", "views.same_lead": q},
            family=family,
        )
        for method, family in FAMILIES.items()
        for q in SHARES
    ),
    base="clef-random",
    seeds=(0, 1, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
