"""What the runs themselves say against a comparison: collapsed embeddings, and budgets that were not equal after all."""

from collections.abc import Sequence

from clef_ray.ablation import Outcome, Plan
from clef_ray.budget import Budget, differences
from clef_ray.evaluate.collapse import collapse
from clef_ray.report.wording import counted


def doubts(plan: Plan, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """One note each; none where nothing is wrong, or where runs are too old to tell."""
    return tuple(filter(None, (_collapsed(outcomes), _unequal(plan), _records(plan, outcomes))))


def _collapsed(outcomes: Sequence[Outcome]) -> str | None:
    """Of the finished runs' last epochs."""
    found = {
        f"{o.trial.arm.name} seed {o.trial.seed}": why
        for o in outcomes
        if o.state == "COMPLETE" and o.history and (why := collapse(o.history[-1]))
    }
    if not found:
        return None
    each = "; ".join(f"{name} ({why})" for name, why in found.items())
    return f"The embedding of {counted(len(found), 'run')} looks collapsed after the last epoch: {each}."


def _unequal(plan: Plan) -> str | None:
    """The arms that differ in their budget and say why."""
    if not plan.ablation.equal_budget:
        return None
    first = {t.arm.name: t for t in plan.trials}
    budgets = [Budget.of(t.run, name, t.arm.tuning, t.arm.unequal) for name, t in first.items()]
    keys: dict[str, list[str]] = {}
    for one, _, key in differences(budgets):
        keys.setdefault(one.arm, []).append(key)
    if not keys:
        return None
    each = (f"{name} in {', '.join(own)} ({first[name].arm.unequal})" for name, own in keys.items())
    return f"All trained arms have an equal budget but for {'; '.join(each)}."


def _records(plan: Plan, outcomes: Sequence[Outcome]) -> str | None:
    """Records seen, where the runs counted them and arms differ although their budget is equal."""
    if not plan.ablation.equal_budget:
        return None
    seen = {o.trial.arm.name: o.cost["records"] for o in outcomes if o.cost.get("records")}
    if len(set(seen.values())) < 2:
        return None
    by_count: dict[float, list[str]] = {}
    for name, count in seen.items():
        by_count.setdefault(count, []).append(name)
    each = "; ".join(f"{count:.0f} by {', '.join(names)}" for count, names in sorted(by_count.items()))
    return f"Arms saw different numbers of records in pretraining at the same epochs and batch: {each}."
