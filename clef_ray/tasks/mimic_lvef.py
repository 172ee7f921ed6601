"""MIMIC-IV-ECG: the left ventricular ejection fraction in % (CLEF's task 14 of 18; Gow et al. 2023; ECGFounder's table)."""

from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Values
from clef_ray.tasks._splits import LVEF_ROWS


@dataclass(frozen=True, kw_only=True)
class MimicLvef(Values):
    """Published split: the rows of the table of ejection fractions, 80/10/10 % from the top. It leaks: a patient's ECGs lie on both sides, and
    CLEF pretrained on the test patients' ECGs too. The order of the rows is not kept in shards, so it cannot be repeated; the folds are by
    patient. CLEF's code looks at lead II: `lead=II`.
    """

    dataset: ClassVar[str] = "mimic_iv_ecg"
    target: ClassVar[str] = "lvef"
    unit: ClassVar[str] = "%"
    published_is: ClassVar[str] = LVEF_ROWS
