"""MIMIC-IV-ECG: is the ejection fraction reduced, mildly reduced or preserved? (CLEF's task 10 of 18; Gow et al. 2023; ECGFounder's table)"""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes
from clef_ray.tasks._splits import LVEF_ROWS


@dataclass(frozen=True, kw_only=True)
class MimicLvefClass(Classes):
    """Three classes, one of an ECG: up to 40 %, 41 to 49 %, 50 % and more (ESC guideline on heart failure, 2021). CLEF has two, by the last
    column of ECGFounder's table, whose threshold is not published; `auroc/reduced` and `auroc/preserved` are the two usual ones.

    Published split: the rows of the table of ejection fractions, 80/10/10 % from the top. It leaks: a patient's ECGs lie on both sides, and
    CLEF pretrained on the test patients' ECGs too. The order of the rows is not kept in shards, so it cannot be repeated; the folds are by
    patient. CLEF's code looks at lead II: `lead=II`.
    """

    dataset: ClassVar[str] = "mimic_iv_ecg"
    labels: ClassVar[str] = "lvef_class"
    exclusive: ClassVar[bool] = True
    published_is: ClassVar[str] = LVEF_ROWS
