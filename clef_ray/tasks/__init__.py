"""Downstream tasks, one per file: small frozen declarations of what a trained encoder is judged by.

A task says *what* is asked (labels or a score, the lead, the smallest class); its `kind` says *how* it is answered, which
`clef_ray.evaluate.run` looks up: "probe" fits a linear readout on training patients, "zeroshot" fits nothing on the target's labels.
A new question of a known kind is a new file here and nothing else.
"""

from typing import ClassVar, Literal, Protocol

from clef_ray.datasets import LEADS
from clef_ray.errors import ConfigError
from clef_ray.registry import unknown


class ProbeTask(Protocol):
    """Classes to be told apart from frozen features.

    labels: a label set of the dataset, or "headline" for the one it names itself; min_positives: a class with fewer training
    positives (or negatives) is left out and counted; lead: the lead that is embedded; prefix: what its metrics' names start with.
    """

    kind: ClassVar[Literal["probe"]]
    prefix: ClassVar[str]

    @property
    def lead(self) -> str: ...
    @property
    def labels(self) -> str: ...
    @property
    def min_positives(self) -> int: ...


class ZeroshotTask(Protocol):
    """Agreement of the embedding's geometry with a risk score. score: a name of `clef_ray.scores`; permutations: of the Mantel test."""

    kind: ClassVar[Literal["zeroshot"]]
    prefix: ClassVar[str]

    @property
    def lead(self) -> str: ...
    @property
    def score(self) -> str: ...
    @property
    def permutations(self) -> int: ...


Task = ProbeTask | ZeroshotTask


def check_lead(lead: str, where: str) -> None:
    """ConfigError unless `lead` is one of the twelve standard leads."""
    if lead not in LEADS:
        raise unknown("lead", lead, LEADS, where)


def check_at_least(value: int, least: int, where: str) -> None:
    """ConfigError when a count is smaller than the least that makes sense."""
    if value < least:
        raise ConfigError(f"{where}: {value} was given, at least {least} is needed")
