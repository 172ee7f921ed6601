"""What are leaky evaluation rules worth?

Every encoder is judged by honest rules and by rules that leak, on the same kind of made-up people; a gap is the leaky number minus the honest
one, so what a paper that used the rule would have gained by it. Two corpora with three records per patient: `others` are people whom
pretraining never saw, `copy` are people of pretraining's own corpus (patient k of a seed is the same person: their first records are the very
recordings that pretraining saw, under the same names; of those who are judged by `zeroshot` about one in ten is of fold 10, which it did not
see, so `seen` gaps are a little smaller than they would be). The run's own check goes by these names and by the recordings' signatures, so the
first line of this report says that leakage was found; that is what is being measured. The report of any other experiment should not say so.

    gap                       leaky                                              honest
    leak/records/auroc_gap    probe, records dealt to training and test (others) probe, patients dealt (others)
    leak/seen/rsa_gap         zero-shot RSA of people of pretraining (copy)      of people whom nobody saw (others)
    leak/seen/auroc_gap       probe, records dealt, of people of pretraining     probe, records dealt, of people whom nobody saw
    leak/halves/accuracy_gap  identification by two halves of one record         by two records of one person (others)

Read the `seen` gaps against `random`, an encoder that saw nothing: what it has is the difference between two draws of people, and the table's
differences to it, patient by patient, take that out. Intervals of a gap itself take both sides for different people, and are
wide: of a probe the honest side is judged on the tenth of `others` that is the test fold, 80 people. By halves about 12 % more people are
identified than by records, since some have one record only; more people are harder to tell apart, so that gap is a little too small.

What to expect: dealing records is worth most where the readout can learn persons; two halves of a record, which share beats, electrodes
and noise, make identification look far easier than it is; having seen unlabelled test signals for a few epochs is worth little here, and
may be worth more with more epochs and larger encoders (`--set optimiser.epochs=50`). Three records per patient is many: with fewer, dealing
records leaks less.

A copy at another rate is found as well, by patient where both corpora are of one dataset, and by signature whatever it is called: the third
command pretrains on PTB-XL at 100 Hz and judges on the same records at 500 Hz. Look at its first line only: its `seen` gaps would compare
PTB-XL with made-up people.

    python experiments/leakage.py                                                            synthetic corpora, ten minutes on two cores
    python experiments/leakage.py --set optimiser.epochs=50 --arms simclr random             does longer pretraining remember more?
    python experiments/leakage.py --data ptbxl:root=/data/ptbxl,fs=100 --target copy=ptbxl:root=/data/ptbxl,fs=500
    python experiments/leakage.py --data synthetic:patients=3000 --target others=synthetic:patients=3000,seed=9,records_per_patient=3 --target copy=synthetic:patients=3000,seed=0,records_per_patient=3    narrower
"""

from clef_ray.ablation import Ablation, Arm
from clef_ray.cli.experiment import main

IDENTIFIED = "others/identification/2s"

ABLATION = Ablation(
    name="leakage",
    question="What are leaky evaluation rules worth?",
    expect="Dealing records instead of patients and identifying by halves of one record gain most; signals seen in pretraining gain little.",
    arms=(
        Arm("simclr", {"method": "simclr"}, family="pretrained"),
        Arm("clef", {"method": "clef"}, family="pretrained"),
        Arm("random", {"method": "random"}),
    ),
    base="simclr",
    seeds=(0, 1, 2),
    tasks=(
        "diagnosis",
        "diagnosis_by_record",
        "score_spearman",
        "identification:seconds=2",
        "identification:seconds=2,across=records",
    ),
    headline=(
        "leak/records/auroc_gap",
        "leak/seen/auroc_gap",
        "leak/seen/rsa_gap",
        "leak/halves/accuracy_gap",
        "others/probe/auroc",
        "others/by_record/probe/auroc",
        "copy/by_record/probe/auroc",
        "others/zeroshot/rsa",
        "copy/zeroshot/rsa",
        f"{IDENTIFIED}/accuracy",
        f"{IDENTIFIED}/records/accuracy",
    ),
    targets={
        "others": "synthetic:patients=800,seed=9,records_per_patient=3",
        "copy": "synthetic:patients=800,seed=0,records_per_patient=3",
    },
    gaps={
        "leak/records/auroc_gap": ("others/by_record/probe/auroc", "others/probe/auroc"),
        "leak/seen/auroc_gap": ("copy/by_record/probe/auroc", "others/by_record/probe/auroc"),
        "leak/seen/rsa_gap": ("copy/zeroshot/rsa", "others/zeroshot/rsa"),
        "leak/halves/accuracy_gap": (f"{IDENTIFIED}/accuracy", f"{IDENTIFIED}/records/accuracy"),
    },
)

if __name__ == "__main__":
    raise SystemExit(main(ABLATION))
