"""What does each objective make of the embedding space?

NT-Xent (`simclr`) against the parts of CLEF: the weighted contrast alone, the alignment with risk alone, both; `random` is the encoder as
initialised, `permuted` guidance by risks that were shuffled over patients.

Judged on `others`, people whom pretraining never saw, with two records each on average: how far the mean cosine of two people falls from the
tenth of pairs with the most similar risk to the tenth with the least (`cosine_drop`, and the whole curve); uniformity and alignment (two
records of one patient; two leads of one record), the distances within a class over those between classes, silhouette. Spread has no interval
over patients: the rank and the participation ratio are compared over seeds. Leakage probes on the same people say what else the
embedding tells: age, sex, systolic blood pressure.

Pictures: t-SNE and principal axes of the embeddings of one seed per arm, coloured by risk, class and age, one point per person without any
name; and linear CKA between the arms, on its diagonal between seeds of one arm. Points of a real corpus are real patients: they are drawn as
pictures, never as numbers, and such a picture is to be shared by the rules of the data.

What to expect: L_d makes the cosine fall with risk and spends few dimensions on it, so that the rank is lower and age is told better; NT-Xent
alone spreads most evenly. Nothing here says that one geometry is better: that is for the tasks to say.

    python experiments/geometry.py                                                           synthetic corpora, ten minutes on two cores
    python experiments/geometry.py --data /data/ptbxl --target others=/data/challenge
    python experiments/geometry.py --arms simclr both random --seeds 5
    python experiments/geometry.py --target others=synthetic:patients=700,seed=9,records_per_patient=2    narrower intervals
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

GEOMETRY = "others/geometry/and_II"

ABLATION = Ablation(
    name="geometry",
    question="What does each objective make of the embedding space?",
    expect="L_d makes similarity fall with the difference of risk and lowers the rank; NT-Xent spreads most evenly; permuted risks order nothing.",
    arms=(
        Arm("simclr", {"method": "simclr"}, family="losses"),
        Arm("lw-alone", {"method": "clef", "loss.lambda_d": 0}, family="losses"),
        Arm("ld-alone", {"method": "clef", "loss.lambda_w": 0}, family="losses"),
        Arm("both", {"method": "clef"}, family="losses"),
        Arm("permuted", {"method": "clef", "score": "permuted"}, against="both"),
        Arm("random", {"method": "random"}),
    ),
    base="simclr",
    seeds=(0, 1, 2),
    tasks=("geometry:other_lead=II", "probe_age", "probe_sex", "probe_sbp"),
    headline=(
        f"{GEOMETRY}/cosine_drop",
        f"{GEOMETRY}/uniformity",
        f"{GEOMETRY}/alignment",
        f"{GEOMETRY}/alignment_lead",
        f"{GEOMETRY}/class_ratio",
        f"{GEOMETRY}/silhouette",
        f"{GEOMETRY}/effective_rank",
        f"{GEOMETRY}/participation_ratio",
        "others/probe_age/r2",
        "others/probe_sex/auroc",
        "others/probe_sbp/r2",
    ),
    targets={"others": "synthetic:patients=400,seed=9,records_per_patient=2"},
    clouds="others",
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
