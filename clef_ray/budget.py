"""An equal budget: what trained arms must have in common before their methods are compared. The one definition, for all experiments.

    records  the same records, each seen equally often: `train_folds`, `optimiser.epochs` and `optimiser.batch`, which make epochs x steps x
             batch records. A record counts, not a subject: PCLR's subjects are pairs, so a batch holds half as many of them. Where a method
             leaves records out (PCLR those of patients with one), only the run knows; the report then says how many each arm saw.
    views    the same signals and the same augmentations to draw from: the sections `signals` and `views`. A method may use less of them.
    tuning   an arm's settings were chosen among equally many configurations, on the validation patients (`Arm.tuning`; 0: by nobody).

The learning rate, the loss, the head and the encoder are the method's own. What follows from them is measured instead and shown beside
the results: FLOPs, seconds and memory (train/cost.py). An arm that trains nothing has no budget.

An ablation with `equal_budget=True` refuses arms that differ in one of these, whatever made them differ, `--set` included; but for an arm
that says why (`Arm.unequal`), which the report repeats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clef_ray.config import Run, flatten, to_dict
from clef_ray.errors import ConfigError

_PARTS = ("train_folds", "signals.", "views.", "optimiser.epochs", "optimiser.batch")


@dataclass(frozen=True)
class Budget:
    """One arm's. arm: its name; values: by setting, `tuning` among them, empty where nothing is trained; unequal: why they may differ."""

    arm: str
    values: dict[str, Any]
    unequal: str = ""

    @classmethod
    def of(cls, run: Run, arm: str, tuning: int = 0, unequal: str = "") -> "Budget":
        """The budget of an arm that makes this run."""
        if not run.epochs:
            return cls(arm, {}, unequal)
        flat = flatten(to_dict(run.canonical()))
        return cls(arm, {k: v for k, v in flat.items() if k.startswith(_PARTS)} | {"tuning": tuning}, unequal)

    def differing(self, other: "Budget") -> list[str]:
        """The settings in which two trained arms differ, sorted; none where one of them is not trained."""
        if not (self.values and other.values):
            return []
        return sorted(key for key, value in self.values.items() if value != other.values[key])


def differences(budgets: Sequence[Budget]) -> Iterator[tuple[Budget, Budget, str]]:
    """(arm, the arm it is held against, setting) where budgets differ. Held against: the first trained arm that claims an equal one."""
    claiming = [b for b in budgets if b.values and not b.unequal]
    if claiming:
        yield from ((b, claiming[0], key) for b in budgets for key in b.differing(claiming[0]))


def require_equal(name: str, budgets: Sequence[Budget]) -> None:
    """ConfigError where an arm's budget is not that of the others and the arm does not say why. name: the ablation's."""
    for one, other, key in differences(budgets):
        if not one.unequal:
            raise ConfigError(
                f"{name} compares arms at an equal budget, but {key} is {one.values[key]} in arm {one.arm!r} and {other.values[key]} in "
                f"{other.arm!r}; give them the same, or say in Arm.unequal why it has to differ"
            )
