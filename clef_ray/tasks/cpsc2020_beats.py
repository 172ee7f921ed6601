"""Normal, supraventricular or ventricular beat, in recordings nobody learnt from? (method.md §4.1 and §8, out-of-distribution F1)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class Cpsc2020Beats(Classes):
    """Windows of CPSC 2020 (Cai et al., J Med Imaging Health Inform 2020;10:2663): N, S or V, each recording judged by a learner that saw
    only others of the ten. `fraction` is contiguous time within the recordings that are learnt from. There is no published split: the
    test set is hidden. `synthetic_holter` is asked in the same way; then nothing it answers is about CPSC 2020.
    """

    lead: str = "any"

    kind: ClassVar[str] = "beats"
    dataset: ClassVar[str] = "cpsc2020"
    alike: ClassVar[tuple[str, ...]] = ("synthetic_holter",)
    labels: ClassVar[str] = "beat"
    exclusive: ClassVar[bool] = True
    published_is: ClassVar[str] = "the publishers' test set is hidden, so there is none; leave it out"

    #: The premature beats that matter enough in a recording (method.md §4.1) -> the recordings.
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "N": ("A01", "A03", "A05", "A06"),
        "V": ("A02", "A08"),
        "S": ("A09", "A10"),
        "VS": ("A04", "A07"),
    }

    #: Class -> recording -> how many such beats are marked (method.md §4.1, from the package torch_ecg), each position once: of A04's
    #: 19,024 ventricular ones three stand there twice, and are taken to be among those counted.
    marked: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "S": {
            "A01": 24,
            "A02": 0,
            "A03": 0,
            "A04": 3466,
            "A05": 25,
            "A06": 6,
            "A07": 3481,
            "A08": 0,
            "A09": 1462,
            "A10": 9071,
        },
        "V": {
            "A01": 0,
            "A02": 4554,
            "A03": 382,
            "A04": 19021,
            "A05": 1,
            "A06": 0,
            "A07": 15150,
            "A08": 2793,
            "A09": 2,
            "A10": 169,
        },
    }
