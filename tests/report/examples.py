"""Reports of a size: an ablation and a sweep of 500 runs each, with numbers from a seeded generator."""

import json
import math
import re
from dataclasses import replace

import numpy as np
from ablation_outcomes import LINEAGE, toy

from clef_ray.ablation import Ablation, Arm, Outcome, Plan, plan
from clef_ray.evaluate.bootstrap import Estimate
from clef_ray.evaluate.result import Curve
from clef_ray.evaluate.run import TaskResult
from clef_ray.report import StudyView
from clef_ray.search import Configuration
from clef_ray.train.loop import RECORD
from clef_ray.trial import run_store

HEADLINE = ("zeroshot/rsa", "zeroshot/readout", "zeroshot/axis", "probe/auroc")
TOLD = LINEAGE | {
    "dataset": "synthetic: 2000 records of 1000 patients, 0 quarantined",
    "leakage": "pretraining saw 800 patients; the other 200 were held out of it",
    "finished": "2026-01-02 03:04 UTC",
}


def _outcome(trial, level, rng, luck, epochs=8):
    estimates = {}
    for index, metric in enumerate(HEADLINE):
        value = level + 0.1 * index + rng.normal(0, 0.01)
        replicates = value + luck + rng.normal(0, 0.002, luck.size)
        estimates[metric] = Estimate(value, *np.percentile(replicates, [2.5, 97.5]), replicates)
    extras = {
        "zeroshot/rsa_age": 0.21,
        "zeroshot/n_test": 200.0,
        "probe/auroc/AF": level + 0.3,
        "probe/auroc/LBBB": level + 0.4,
    }
    history = _history(level, rng, epochs)
    return Outcome(
        trial,
        "COMPLETE",
        {"probe": TaskResult(estimates, extras, notes=("AFL left out: 2 positives",))},
        history,
        {"pretrain": 7.0 + rng.normal(0, 0.3), "evaluate": 0.8, "wall": 8.4},
    )


def _history(level, rng, epochs):
    return [
        {"epoch": e, "loss": 5 - level + 2 * math.exp(-e / 2) + rng.normal(0, 0.03), "lr": 1e-3}
        for e in range(epochs)
    ]


def ablation_report(families=("CLEF", "SimCLR"), counts=(1, 7, 31, 126), seeds=5):
    """Plan and outcomes of families x counts arms and two controls; one run failed."""
    methods = {"CLEF": "clef", "SimCLR": "simclr"}
    arms = [
        Arm(
            f"{family.lower()}-{n}",
            {"method": methods.get(family, "clef"), "loss.negatives": n, "loss.temperature": 0.05 + k / 100},
            family,
            n,
        )
        for k, family in enumerate(families)
        for n in counts
    ]
    arms += [Arm("clef-permuted", {"score": "permuted"}), Arm("random", {"method": "random"})]
    made = plan(
        toy(
            name="ablate_negatives",
            question="How many negatives does clinically-guided pretraining need?",
            expect="More negatives help zero-shot Spearman up to a point; guidance by permuted risks does not help at all.",
            arms=tuple(arms),
            base=arms[len(counts) - 1].name,
            headline=HEADLINE,
            seeds=tuple(range(seeds)),
        ),
        "d1a7a0000000000a",
    )
    rng, luck = np.random.default_rng(0), np.linspace(-0.05, 0.05, 200)
    levels = {
        a.name: (0.1 if not a.family else 0.3 + 0.02 * math.log2(a.x) - 0.03 * (a.family != "CLEF"))
        for a in arms
    }
    found = [_outcome(t, levels[t.arm.name], rng, luck) for t in made.trials]
    found[2] = Outcome(
        found[2].trial,
        "FAILED",
        reason="loss is not finite at epoch 3: the learning rate 0.5 is too high for this batch",
        lost=True,
    )
    return made, found


def tasks_report(seeds=3):
    """Plan and outcomes of six arms judged by a task of every kind, on the corpus of pretraining and on one further corpus, `far`."""
    levels = {
        "clef": 0.8,
        "clef-soft": 0.78,
        "simclr": 0.74,
        "vicreg": 0.72,
        "supervised": 0.83,
        "random": 0.6,
    }
    arms = tuple(
        Arm(
            name,
            {"method": "simclr", "loss.temperature": 0.05 + k / 100},
            "" if name == "random" else "methods",
        )
        for k, name in enumerate(levels)
    )
    asked = toy(
        name="every_kind",
        question="Which pretraining gives the better embedding, by a task of every kind?",
        expect="Guidance helps what follows risk, and costs nothing elsewhere.",
        arms=arms,
        base="clef",
        axis="",
        headline=("probe/auroc", "zeroshot/rsa"),
        seeds=tuple(range(seeds)),
    )
    made = plan(asked, "d1a7a0000000000a").on("d1a7a0000000000a", targets={"far": "fa2fa2fa2fa2fa20"})
    rng, luck = np.random.default_rng(2), np.linspace(-0.04, 0.04, 100)
    found = []
    for trial in made.trials:
        level = levels[trial.arm.name] + rng.normal(0, 0.005)
        own = _every_kind(level, rng, luck)
        away = _every_kind(level - 0.06, rng, luck)
        far = {
            f"far/{k}": result.prefixed("far")
            for k, result in away.items()
            if not re.search(r"\d(pct|shot)$", k)
        }
        found.append(
            Outcome(trial, "COMPLETE", own | far, _history(level, rng, 8), {"pretrain": 7.0, "evaluate": 0.8})
        )
    return made, found


def _every_kind(level, rng, luck):
    """Key -> result of one encoder on one corpus; level: how good it is, 0.5 to 1."""

    def made(prefix, values, curves=None, **extras):
        estimates = {}
        for name, value in values.items():
            replicates = value + luck * rng.uniform(0.5, 1) * max(0.2, abs(value))
            estimates[name] = Estimate(value, *np.percentile(replicates, [2.5, 97.5]), replicates)
        return TaskResult(estimates, extras, curves=curves or {}).prefixed(prefix)

    skill = 2 * level - 1
    classes = {
        name: level + 0.02 * k for k, name in enumerate(("AF", "LBBB", "LVH", "MI", "PVC", "RBBB", "STACH"))
    }
    ranked = {"auroc": level + 0.06, **{f"auroc/{name}": value for name, value in classes.items()}}
    results = {
        "probe": made(
            "probe",
            {**ranked, "ece": 0.2 - level / 5},
            {"reliability": _reliable(level)},
            n_test=412.0,
            n_patients=206.0,
        ),
        "knn": made("knn", {"auroc": level + 0.02}, n_test=412.0, n_patients=206.0),
    }
    for head, factor in (("probe", 1.0), ("finetune", 0.6)):
        for share in (1, 5, 10, 25):
            prefix = f"{head}/{share}pct"
            value = level + 0.06 - factor * 0.05 * math.log10(100 / share)
            results[prefix] = made(
                prefix, {"auroc": value, "auroc/AF": value}, n_test=412.0, n_patients=206.0, draws=5.0
            )
        for shots in (1, 5, 20):
            prefix = f"{head}/{shots}shot"
            results[prefix] = made(
                prefix, {"auroc": level - 0.15 + 0.05 * math.log10(shots)}, n_test=412.0, n_patients=206.0
            )
    results["zeroshot"] = made(
        "zeroshot",
        {
            name + control: part * (0.9 * skill if not control else 0.35 if control == "_age" else 0.01)
            for name, part in {
                "rsa": 0.6,
                "rsa_partial": 0.3,
                "rsa_beyond": 0.2,
                "readout": 1.1,
                "axis": 0.9,
            }.items()
            for control in ("", "_age", "_permuted")
        },
        n_test=396.0,
        n_patients=198.0,
    )
    results["geometry"] = made(
        "geometry", {"cosine_drop": 0.4 * skill}, {"cosine_by_risk": _by_risk(skill)}, n_test=198.0
    )
    shifted = {"mmd2": 0.4 * (1 - level), "coral": 0.6 * (1 - level), "domain_auc": 1.25 - level}
    results["shift"] = made(
        "shift", shifted, frechet=1.2 - level, frechet_null=0.08, mmd2_p=0.03, n_test=198.0
    )
    known = {"accuracy": level - 0.3, "accuracy_top5": level - 0.1, "auroc": 0.95, "eer": 0.1}
    results["identification"] = made("identification", known, persons=150.0, chance=1 / 150)
    rhythm = {f"f1/{name}": level + 0.1 - 0.15 * k for k, name in enumerate("NSV")}
    rhythm |= {f"event_f1/{name}": level - 0.1 - 0.15 * k for k, name in enumerate("SV")}
    rhythm |= {
        f"loss_{name}": (1 - level) * size
        for name, size in (("official", 9e4), ("revised", 1.1e5), ("strict", 1.2e5))
    }
    results["cpsc2020_beats"] = made(
        "cpsc2020_beats", {"f1": level, **rhythm}, n_test=5000.0, recordings=10.0
    )
    results["sbp"] = made(
        "sbp",
        {"mae": 30 * (1 - level) + 5},
        {"true_by_predicted": _calibrated(skill)},
        n_test=412.0,
        n_patients=206.0,
    )
    return results


def _reliable(level):
    x = np.linspace(0.03, 0.92, 10)
    y = np.clip(x + (level - 0.85) * np.sin(2 * np.pi * x), 0, 1)
    return Curve("predicted probability", "observed share", x, y, y - 0.04, y + 0.04, np.full(10, 288.0))


def _by_risk(skill):
    x = np.geomspace(0.4, 14, 10)
    y = 0.6 * skill - 0.5 * skill * np.linspace(0, 1, 10)
    return Curve(
        "difference of score2 between two patients [%]",
        "mean cosine of their embeddings",
        x,
        y,
        y - 0.03,
        y + 0.03,
        np.full(10, 1950.0),
    )


def _calibrated(skill):
    x = np.linspace(120 - 20 * skill, 120 + 20 * skill, 8)
    y = 120 + 1.1 * (x - 120)
    return Curve(
        "predicted systolic pressure [mmHg]",
        "true systolic pressure [mmHg]",
        x,
        y,
        y - 2,
        y + 2,
        np.full(8, 51.0),
    )


def sweep_report(configurations=250, objectives=2):
    """Plan, outcomes and study of a sweep of two seeds: a third of the configurations is stopped early, some fail."""
    rng, luck = np.random.default_rng(1), np.linspace(-0.05, 0.05, 200)
    arms, params = [], []
    for number in range(configurations):
        scores = ("score2", "pce", "age")
        params.append(
            {
                "optimiser.lr": float(10 ** rng.uniform(-4, -2)),
                "loss.alpha": float(rng.uniform(0, 1)),
                "score": scores[int(rng.integers(3))],
                "loss.negatives": int(rng.integers(1, 63)),
            }
        )
        arms.append(Arm(f"c{number:03d}", dict(params[-1]), "search"))
    ablation: Ablation = toy(
        name="sweep_clef",
        question="Which settings of clinically-guided pretraining are worth their GPU-hours?",
        expect="The learning rate and α matter most; the score does not.",
        arms=tuple(arms),
        base="c000",
        headline=HEADLINE,
        axis="",
        seeds=(0, 1),
        larger="",
    )
    made: Plan = replace(plan(ablation, "d1a7a0000000000a"), identity="5eed5eed5eed5eed", split="selection")
    found, rows = [], []
    names = ("zeroshot/rsa", "cost/gpu_hours")[:objectives]
    for number, arm in enumerate(arms):
        p = params[number]
        level = 0.35 - 0.05 * abs(math.log10(p["optimiser.lr"]) + 3) - 0.1 * (p["loss.alpha"] - 0.2) ** 2
        trials = [t for t in made.trials if t.arm.name == arm.name]
        if number and number % 3 == 0:
            why = "ASHA: zeroshot/rsa 0.11 after epoch 3 is below the best third"
            found.append(
                Outcome(
                    trials[0],
                    "PRUNED",
                    history=_history(level, rng, 3),
                    seconds={"pretrain": 2.5},
                    reason=why,
                )
            )
            rows.append(Configuration(number, "PRUNED", p, reason=why))
        elif number % 50 == 7:
            found += [Outcome(t, "FAILED", reason="loss is not finite at epoch 2") for t in trials]
            rows.append(Configuration(number, "FAIL", p, reason="loss is not finite at epoch 2"))
        else:
            own = [_outcome(t, level, rng, luck) for t in trials]
            found += own
            values = [o.metrics["zeroshot/rsa"] for o in own]
            told = {
                "zeroshot/rsa": float(np.mean(values)),
                "cost/gpu_hours": 0.01 + p["loss.negatives"] / 2000,
            }
            error = {"zeroshot/rsa": float(np.std(values, ddof=1) / 2**0.5)}
            rows.append(Configuration(number, "COMPLETE", p, {n: told[n] for n in names}, error))
    done = sorted((r for r in rows if r.state == "COMPLETE"), key=lambda r: -r.values["zeroshot/rsa"])
    best, cheapest = [], math.inf
    for row in done:
        if row.values.get("cost/gpu_hours", -len(best)) < cheapest:
            best.append(row.number)
            cheapest = row.values.get("cost/gpu_hours", -math.inf)
    fresh = Arm(done[0].arm, done[0].params, "search")
    winner = [
        _outcome(
            replace(
                made.trials[0],
                arm=fresh,
                seed=seed,
                run=replace(made.trials[2 * done[0].number].run, seed=seed),
            ),
            0.33,
            rng,
            luck,
        )
        for seed in (100, 101, 102)
    ]
    study = StudyView(
        "sweep_clef-5eed5eed",
        tuple(zip(names, ("maximize", "minimize"), strict=False)),
        tuple(rows),
        ("optimiser.lr",),
        {"optimiser.lr": 0.62, "loss.alpha": 0.27, "loss.negatives": 0.07, "score": 0.04},
        best=tuple(best),
        winner=tuple(winner),
    )
    return replace(made, trials=tuple(o.trial for o in found)), found, study


def keep(storage: str, plan: Plan, outcomes) -> None:
    """Put the finished runs and their results where a sweep leaves them."""
    for o in outcomes:
        if o.state == "COMPLETE":
            store = run_store(storage, o.trial.run)
            told = {"history": list(o.history), "seconds": o.seconds["pretrain"]}
            store.write_bytes(RECORD, json.dumps(told).encode())
            for asked in plan.judging.asked(o.trial.run):
                store.write_bytes(asked.file, _stored(o.results[asked.key], asked.target).to_bytes())


def _stored(result: TaskResult, target: str) -> TaskResult:
    """As a run keeps it: without the name that the target has in a command."""
    start = f"{target}/" if target else ""
    return TaskResult(
        {name.removeprefix(start): estimate for name, estimate in result.estimates.items()},
        {name.removeprefix(start): value for name, value in result.extras.items()},
        result.skipped,
        result.notes,
    )
