"""Which diagnoses can a readout of the features tell apart, on any corpus that has some? (method.md §8, linear probe)"""

from dataclasses import dataclass

from clef_ray.tasks import Classes


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Classes):
    """A label set of whatever corpus is asked. labels: the set, or "headline" for the dataset's own choice (PTB-XL: superclass)."""

    labels: str = "headline"

    def _head(self) -> str:
        """`probe`, or the learner's name: the metrics of the default task have been called so from the start."""
        return "probe" if self.mode == "linear" else self.mode

    def _variant(self) -> list[str]:
        parts = [part for part in super()._variant() if part != self.mode]
        return parts if self.labels == "headline" else [self.labels, *parts]
