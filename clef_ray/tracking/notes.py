"""The notes on runs, as the UI shows them: Markdown that a person reads."""

from collections.abc import Iterator, Mapping, Sequence

from clef_ray.ablation import Outcome, Plan, Trial
from clef_ray.tracking import Summary, record


def of_plan(plan: Plan, lineage: Mapping[str, str], comparison: Summary | None = None) -> str:
    """The parent's: what was asked and, once there is one, the answer; how to look at it and how to do it again."""
    return "\n\n".join(_plan_parts(plan, lineage, comparison)) + "\n"


def _plan_parts(plan: Plan, lineage: Mapping[str, str], comparison: Summary | None) -> Iterator[str]:
    ablation = plan.ablation
    yield f"**Question.** {ablation.question}"
    if comparison:
        yield f"**Answer.** {comparison.answer}"
    yield f"**Expected.** {ablation.expect}"
    if comparison and comparison.caveats:
        yield "**Before you believe it.**\n\n" + "\n".join(f"- {caveat}" for caveat in comparison.caveats)
    if plan.smoke:
        yield "**A smoke run.** It shows that everything works; its numbers mean nothing."
    arms = dict.fromkeys(trial.arm.name for trial in plan.trials)
    if arms:
        yield f"**Arms.** {', '.join(f'`{arm}`' for arm in arms)}; compared with `{ablation.base}`."
        yield f"**Settings varied.** {_listed(record.asked_about(plan))}."
    yield f"**Headline.** {_listed(ablation.headline)}."
    yield (
        "**How to look at it.** The report is `report.html` under *Artifacts*, the table of arms `arms.json`. In the experiment's list, "
        "`tags.clef_ray.kind = 'arm'` shows, below the plan, one run per arm (means over seeds, `_low` and `_high` their 95 % interval over seeds), "
        "`tags.clef_ray.kind = 'trial'` one per arm and seed (`_low` and `_high`: over patients). Select runs and choose *Compare*."
    )
    facts = [
        f"- {name}: {lineage[name]}" for name in ("dataset", "leakage", "git_commit") if lineage.get(name)
    ]
    if facts:
        yield "**Made from.**\n\n" + "\n".join(facts)
    if command := lineage.get("command"):
        yield f"**Again.** The same command goes on where it stopped, and trains nothing twice:\n\n```\n{command}\n```"


def of_outcome(plan: Plan, settings: Mapping[str, str], outcome: Outcome, linked_run: str | None) -> str:
    """A trial's: what it is, what came of it, what it cost, where its files lie."""
    return "\n\n".join(_outcome_parts(plan, settings, outcome, linked_run)) + "\n"


def _outcome_parts(
    plan: Plan, settings: Mapping[str, str], outcome: Outcome, linked_run: str | None
) -> Iterator[str]:
    trial = outcome.trial
    yield f"**{trial.arm.name}, seed {trial.seed}.** One pretraining of *{plan.ablation.question}*"
    own = [f"`{key}` = {value}" for key, value in settings.items() if key not in ("arm", "seed")]
    if own:
        yield f"Settings: {', '.join(own)}."
    if outcome.state == "FAILED":
        yield f"**It failed:** {outcome.reason}"
    if outcome.state == "PRUNED":
        yield f"**It was stopped early,** as the sweep's rule says; that is no failure: {outcome.reason}"
    if linked_run:
        yield f"**Trained once.** Another trial is the same run; its record is the run `{linked_run}`, with the same metrics."
    if table := list(_results(plan, outcome)):
        head = "| metric | value | 95 % interval over patients |\n|---|---:|---|"
        yield "\n".join([head, *table])
    cost = [f"{name} {value:.1f} s" for name, value in outcome.seconds.items()]
    if cost:
        yield f"**Cost.** {', '.join(cost)}."
    yield f"**Files.** {_files(trial)}"


def _results(plan: Plan, outcome: Outcome) -> Iterator[str]:
    estimates = {k: e for result in outcome.results.values() for k, e in result.estimates.items()}
    for name in plan.ablation.headline:
        if estimate := estimates.get(name):
            yield f"| {name} | {estimate.value:.3f} | {estimate.low:.3f} to {estimate.high:.3f} |"


def of_arm(plan: Plan, arm: str) -> str:
    """An arm's."""
    return (
        f"**{arm}**, an arm of *{plan.ablation.question}*\n\nEach metric is the mean over the arm's seeds; `_low` and `_high` are its 95 % "
        "interval over seeds (t). Its trials are the runs with the same parameter `arm`.\n"
    )


def _files(trial: Trial) -> str:
    return (
        f"`runs/{trial.run.fingerprint()}/` below the storage: the encoder, its history, every task's result."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
