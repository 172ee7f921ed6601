"""By what encoders are judged: which tasks on which corpora, and where each answer lies. Plain values; nothing is computed here."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from clef_ray.config import Run, Spec, SplitName, evaluation_fingerprint
from clef_ray.errors import ConfigError
from clef_ray.registry import TASKS


class Asked(NamedTuple):
    """One task on one corpus. key: what its metrics' names begin with; target: the corpus, empty for that of pretraining; file: where a run
    keeps the result.
    """

    key: str
    target: str
    task: Spec
    file: str


@dataclass(frozen=True)
class Judging:
    """By what encoders are judged.

    tasks: asked of every corpus; data: the fingerprint of the corpus of pretraining; targets: further corpora, (name, fingerprint) each; split:
    whom they are judged on; gaps: as an ablation's.
    """

    tasks: tuple[Spec, ...]
    data: str
    targets: tuple[tuple[str, str], ...] = ()
    split: SplitName = "official"
    gaps: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def asked(self, run: Run) -> list[Asked]:
        """Every question to the run's encoder: all tasks on its own corpus, then on each target."""
        found = []
        for target, data in (("", self.data), *self.targets):
            for task in self.tasks:
                prefix: str = task.build(TASKS).prefix
                name = evaluation_fingerprint(run, task, data, self.split, self.data if target else "")
                found.append(
                    Asked(f"{target}/{prefix}" if target else prefix, target, task, f"evaluate/{name}.npz")
                )
        return found


def prefixes(tasks: Iterable[Spec]) -> list[str]:
    """What the tasks' metrics begin with. ConfigError where two tasks are called alike."""
    found: list[str] = [task.build(TASKS).prefix for task in tasks]
    if twice := [prefix for prefix, count in Counter(found).items() if count > 1]:
        raise ConfigError(
            f"two tasks are called {twice[0]!r}: their metrics would overwrite each other; ask for one of them"
        )
    return found
