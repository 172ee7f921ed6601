"""Which clinical score should guide pretraining, and is it more than age and sex?

CLEF is guided by SCORE2. Of its reviewers (ICLR 2026, public), the third asked for other scores (Framingham, ASCVD), the second for an acute,
diagnosis-proximal target in place of a 10-year score, since an ECG shows the present. Every arm is the same guided loss with another score;
what is asked of the embedding stays SCORE2 (zero-shot) and the diagnoses (probe): score2 plays at home in the first, acute in the second.

Controls. `age`, `sex`, `age_sex`: what a score is worth without blood pressure, lipids and smoking. `acute`: the number of abnormal
statements in the record's own diagnosis; it reads labels of the training records, so that arm is supervised. `constant` and `permuted`: no
score, and a score of the wrong patients. `random`: the encoder as initialised.

What to expect: the ten-year scores rank adults alike and age leads in all of them, so they should be hard to tell apart, from `age` too.
zeroshot/rsa_beyond is where more than age would show: it is given the differences in age, in sex and in the score that age and sex alone
give.

On PTB-XL everything but age and sex is unknown (and the body mass index of many, which no default arm reads). All clinical scores are
functions of age and sex there: they may still guide differently, but none can be more than age and sex, and rsa_beyond is undefined.

    python experiments/ablate_risk_scores.py                           synthetic cohort, five minutes on two cores
    python experiments/ablate_risk_scores.py --data /data/ptbxl        PTB-XL (age and sex are known, the rest is the scores' centre)
    python experiments/ablate_risk_scores.py --arms all                with the rarer scores and SimCLR
"""

from typing import Any

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

SCORES: dict[str, dict[str, Any]] = {
    "score2": {"score": "score2"},
    "score2_diabetes": {"score": "score2_diabetes"},
    "framingham": {"score": "framingham"},
    "pce": {"score": "pce"},
    "prevent": {"score": "prevent"},
    "cha2ds2_vasc": {"score": "cha2ds2_vasc"},
}
RARER: dict[str, dict[str, Any]] = {
    "score2-alone": {"score": "score2", "score.op_from": None},
    "score2_op": {"score": "score2_op"},
    "framingham-bmi": {"score": "framingham", "score.version": "bmi"},
    "pce-race-field": {"score": "pce", "score.race": "field"},
    "prevent-ascvd": {"score": "prevent", "score.outcome": "ascvd"},
    "prevent-hf": {"score": "prevent", "score.outcome": "hf"},
    "cha2ds2_va": {"score": "cha2ds2_va"},
}
CONTROLS = ("age", "sex", "age_sex", "acute", "constant", "permuted")

ABLATION = Ablation(
    name="ablate_risk_scores",
    question="Which clinical score should guide pretraining, and is it more than age and sex?",
    expect="The scores are hard to tell apart, and from age too; a constant and a permuted score are worth less.",
    arms=(
        *(Arm(name, {"method": "clef", **score}, family="clinical scores") for name, score in SCORES.items()),
        *(Arm(name, {"method": "clef", "score": name}) for name in CONTROLS),
        Arm("random", {"method": "random"}),
    ),
    more=(
        *(Arm(name, {"method": "clef", **score}, family="clinical scores") for name, score in RARER.items()),
        Arm("simclr", {"method": "simclr"}),
    ),
    base="score2",
    seeds=(0, 1, 2),
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
