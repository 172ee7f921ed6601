"""How do contrastive losses differ out of distribution when only a few records there are labelled?

Encoders are pretrained on twelve-lead records of a clinic and then asked about two corpora that a wearable device made, from a linear readout
that learns from 1 to 100 % of the labels there. `holter`: is the beat in the middle of the window normal, supraventricular or ventricular
(N, S, V), leave-record-out over ten recordings, as CPSC 2020; a share of the labels is contiguous time within the other recordings. `shifted`:
ten diagnoses in single records, as CinC 2017's four rhythms; a share of the labels is a share of the patients. The measure is macro F1.

NT-Xent (`simclr`) against the three parts of CLEF (both terms, the weighted contrast alone, the alignment with risk alone) and against the
rivals: MoCo, BYOL, CLOCS of two halves of a window, and `supervised`, which learns from the diagnoses of the corpus of pretraining. Asked for by
name (`--arms all`, `--arms simclr cpc leaves`): CLOCS across leads and across both, LEAVES, CPC, PCLR. Encoder, records, epochs and views to draw
from are the same for all, nothing is tuned for any; the two of CLOCS that take two leads draw leads, and PCLR sees the patients with two
records only.

Every share but the whole is the mean over five draws of what is learnt from, the same for all arms. Two uncertainties stand beside it: over
the people or recordings that are judged (the interval of the tables), and over the draws (`f1_low_draws`, `f1_high_draws`; the dashes of the picture).

Controls: `random` (the encoder as initialised, what the readout does by itself) and `permuted` (guidance by risks shuffled over patients).

What to expect: every loss gains with more labels and falls behind its own F1 at home. The risk says nothing about single beats, so guidance
should cost or gain little on `holter`, the alignment alone most likely lose; on `shifted`, where diagnoses follow the risk factors, it may
help where labels are few; `supervised` should lead on `shifted`, whose diagnoses it knows, and not on beats. Ten recordings are few patients:
the intervals over patients are wide there, and are the honest ones.

Windows of `holter` are as long as what the encoder is given (5 s), since the beat in question is in their middle: with another
`signals.seconds` give the same to the target.

    python experiments/ood_low_resource.py                                                synthetic corpora
    python experiments/ood_low_resource.py --data /data/ptbxl --target holter=cpsc2020:root=/data/cpsc2020,seconds=5 --target shifted=/data/cinc2017
    python experiments/ood_low_resource.py --arms simclr "clocs-*" leaves cpc pclr random                the rivals that cost most
    python experiments/ood_low_resource.py --target holter=synthetic_holter:seconds=5,per_record=300     more windows
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

#: Shares of the labelled records.
FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1)
BEATS, RECORDS = "holter/cpsc2020_beats", "shifted/probe/lead_any"

#: Positives of CLOCS that are two leads of a record need views that draw leads.
LEADS = {"method": "clocs", "views.lead": "random", "views.same_lead": 0}

ABLATION = Ablation(
    name="ood_low_resource",
    question="How do contrastive losses differ out of distribution when only a few records there are labelled?",
    expect="All gain with labels; guidance by risk changes little on beats, may help on diagnoses, and permuted risks help with neither.",
    arms=(
        Arm("simclr", {"method": "simclr"}, family="losses"),
        Arm("both", {"method": "clef"}, family="losses"),
        Arm("lw-alone", {"method": "clef", "loss.lambda_d": 0}, family="losses"),
        Arm("ld-alone", {"method": "clef", "loss.lambda_w": 0}, family="losses"),
        Arm("moco", {"method": "moco"}, family="losses"),
        Arm("byol", {"method": "byol"}, family="losses"),
        Arm("clocs-cmsc", {"method": "clocs"}, family="losses"),
        Arm("supervised", {"method": "supervised"}, family="losses"),
        Arm("permuted", {"method": "clef", "score": "permuted"}, against="both"),
        Arm("random", {"method": "random"}),
    ),
    more=(
        Arm("clocs-cmlc", {**LEADS, "method.pairs": "cmlc"}, family="losses"),
        Arm("clocs-cmsmlc", {**LEADS, "method.pairs": "cmsmlc"}, family="losses"),
        Arm("leaves", {"method": "leaves"}, family="losses"),
        Arm("cpc", {"method": "cpc"}, family="losses"),
        Arm("pclr", {"method": "pclr"}, family="losses"),
    ),
    base="simclr",
    seeds=(0, 1, 2),
    tasks=tuple(
        f"{task}fraction={share:g}"
        for task in ("cpsc2020_beats:", "diagnosis:lead=any,")
        for share in FRACTIONS
    ),
    headline=(
        f"{BEATS}/10pct/f1",
        f"{BEATS}/1pct/f1",
        f"{BEATS}/f1",
        f"{RECORDS}/10pct/f1",
        f"{RECORDS}/1pct/f1",
        f"{RECORDS}/f1",
        "probe/lead_any/10pct/f1",
        "probe/lead_any/f1",
    ),
    larger="--data synthetic:patients=20000 --target holter=synthetic_holter:seconds=10,per_record=300 --seeds 5 --set signals.seconds=10 "
    "--set optimiser.epochs=50",
    targets={
        "holter": "synthetic_holter:seconds=5",
        "shifted": "synthetic:patients=1000,seed=9,records_per_patient=1,device=wearable,common_age=75,prevalence=2",
    },
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
